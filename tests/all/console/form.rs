//! A form as a browser sends it when nobody touches it.

/// The fields of the page's form that has a field of that name, in their order.
pub(crate) fn untouched(page: &str, has: &str) -> Vec<(String, String)> {
    let marker = format!("name=\"{has}\"");
    let mut forms = page.split("<form").skip(1);
    let form = forms
        .find(|form| {
            form.split("</form>")
                .next()
                .is_some_and(|f| f.contains(&marker))
        })
        .unwrap_or_else(|| panic!("no form with {has} in {page}"));
    let mut rest = form.split("</form>").next().unwrap_or_default();
    let mut fields = Vec::new();
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let (tag, after) = rest.split_once('>').expect("a tag ends");
        match tag.split_whitespace().next() {
            Some("input") => fields.extend(input(tag)),
            Some("textarea") => {
                let (text, after) = after.split_once("</textarea>").expect("it ends");
                // The first line break is none of the text's; browsers send both characters of the others.
                let text = unescaped(text.strip_prefix('\n').unwrap_or(text));
                fields.extend(of(tag, text.replace('\n', "\r\n")));
                rest = after;
                continue;
            }
            Some("select") => {
                let (options, after) = after.split_once("</select>").expect("it ends");
                fields.extend(chosen(options).and_then(|value| of(tag, value)));
                rest = after;
                continue;
            }
            _ => {}
        }
        rest = after;
    }
    fields
}

fn input(tag: &str) -> Option<(String, String)> {
    let kind = attribute(tag, "type").unwrap_or_default();
    let value = attribute(tag, "value");
    match kind.as_str() {
        "checkbox" if !tag.split_whitespace().any(|word| word == "checked") => None,
        "checkbox" => of(tag, value.unwrap_or_else(|| "on".to_owned())),
        _ => of(tag, value.unwrap_or_default()),
    }
}

/// Of a select: the option that is selected, else the first.
fn chosen(options: &str) -> Option<String> {
    let all: Vec<&str> = options.split("<option").skip(1).collect();
    let selected = all.iter().find(|option| {
        let tag = option.split('>').next().unwrap_or_default();
        tag.split_whitespace().any(|word| word == "selected")
    });
    let option = selected.or(all.first())?;
    let (tag, text) = option.split_once('>')?;
    let text = text.split('<').next().unwrap_or_default();
    Some(attribute(tag, "value").unwrap_or_else(|| unescaped(text)))
}

fn of(tag: &str, value: String) -> Option<(String, String)> {
    Some((attribute(tag, "name")?, value))
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(unescaped(rest.split('"').next()?))
}

fn unescaped(text: &str) -> String {
    let entities = [
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#60;", "<"),
        ("&lt;", "<"),
        ("&#62;", ">"),
        ("&gt;", ">"),
        ("&#38;", "&"),
        ("&amp;", "&"),
    ];
    let replaced =
        |text: String, (entity, character): &(&str, &str)| text.replace(entity, character);
    entities.iter().fold(text.to_owned(), replaced)
}
