//! What a user has to know of a connector, below its table.

use hookplane_proto::v1;

use crate::commands::items::confidence;
use crate::output::visible;

fn meaning(confidence: v1::Confidence) -> &'static str {
    match confidence {
        v1::Confidence::Verified => {
            "tested against what the provider's own library signs or accepts, or a standard of its own"
        }
        v1::Confidence::Documented => {
            "read in the provider's documentation; no library of theirs stood behind the tests"
        }
        v1::Confidence::Unverified => {
            "see a callback of the provider's own come through before you rely on it"
        }
        v1::Confidence::Unspecified => "whoever wrote it doesn't say how sure they are",
    }
}

/// Headed paragraphs and lists.
#[derive(Default)]
pub(super) struct Text(String);

impl Text {
    /// A paragraph, if there is anything to say.
    pub(super) fn say(&mut self, heading: &str, text: &str) {
        let lines: Vec<String> = text.trim().lines().map(visible).collect();
        match lines.as_slice() {
            [] => {}
            [line] if heading.is_empty() => self.0.push_str(&format!("\n{line}\n")),
            [line] => self.0.push_str(&format!("\n{heading}: {line}\n")),
            lines => {
                self.0.push_str(&format!("\n{heading}:\n"));
                for line in lines {
                    self.0.push_str(&format!("  {line}\n"));
                }
            }
        }
    }

    /// A list, if there is anything in it.
    pub(super) fn list(&mut self, heading: &str, items: impl IntoIterator<Item = String>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            self.0.push_str(&format!("\n{heading}:\n"));
        }
        for item in items {
            self.0
                .push_str(&format!("  {}\n", visible(item.trim_end())));
        }
    }

    /// What shows more of this function.
    pub(super) fn more(&mut self, function: &str) {
        let next = format!("`hookplane get functions {function}` has events and set-up.");
        self.say("", &next);
    }

    /// How sure we are, and what that rests on.
    pub(super) fn standing(&mut self, spec: &v1::ConnectorSpec) {
        let how = spec.confidence();
        let text = format!("{}; {}", confidence(how), meaning(how));
        self.say("Confidence", &text);
        self.list("It rests on", spec.sources.iter().cloned());
    }

    /// What isn't done.
    pub(super) fn limitations(&mut self, spec: &v1::ConnectorSpec) {
        self.list("Limitations", spec.limitations.iter().cloned());
    }

    /// What a group has to fill in.
    pub(super) fn asks(&mut self, spec: &v1::ConnectorSpec) {
        self.say("Signature secret", &spec.secret_help);
        let parameters = spec.parameters.iter().map(|parameter| {
            let mut more = Vec::new();
            if parameter.required {
                more.push("required".to_owned());
            }
            if parameter.secret {
                more.push("secret".to_owned());
            }
            if !parameter.default_value.is_empty() {
                more.push(format!("`{}` unless set", parameter.default_value));
            }
            let more = match more.is_empty() {
                true => String::new(),
                false => format!(" ({})", more.join(", ")),
            };
            let what = match parameter.description.as_str() {
                "" => &parameter.display_name,
                description => description,
            };
            format!("{}{more}: {}", parameter.name, what.trim())
        });
        self.list("Parameters", parameters);
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_connector_does_not_say_leaves_no_heading() {
        let mut text = Text::default();
        let spec = v1::ConnectorSpec::default();
        text.standing(&spec);
        text.asks(&spec);
        text.limitations(&spec);
        assert_eq!(
            text.into_string(),
            "\nConfidence: not stated; whoever wrote it doesn't say how sure they are\n"
        );
    }

    #[test]
    fn a_parameter_says_what_it_takes() {
        let mut text = Text::default();
        text.asks(&v1::ConnectorSpec {
            parameters: vec![v1::ConnectorParameter {
                name: "userName".into(),
                description: "The user name.\n".into(),
                required: true,
                default_value: "hooks".into(),
                ..Default::default()
            }],
            ..Default::default()
        });
        assert_eq!(
            text.into_string(),
            "\nParameters:\n  userName (required, `hooks` unless set): The user name.\n"
        );
    }
}
