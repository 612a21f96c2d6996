//! Items sent, many in a call; what is refused for one of many is split until the one is alone.

use super::super::answers::{self, Fate, Told};
use super::super::call::Caller;
use super::super::requests::{self, Call};
use super::order::bounded;
use super::{Item, Shape, Writer};

/// Splits of refused calls in one go: enough to find two bad rows among two hundred. What is left then is tried again later.
const MAX_SPLITS: usize = 16;

impl Writer<'_> {
    pub(super) async fn send_items(&mut self, shape: Shape<'_>, items: Vec<Item>) {
        // The next one is at the end.
        let mut waiting = bounded(shape, items);
        waiting.reverse();
        while let Some(items) = waiting.pop() {
            if let Some(stop) = self.stopped() {
                self.tell_all(&items, &stop);
                continue;
            }
            let parts: Vec<&str> = items.iter().map(|item| &*item.json).collect();
            let call = match shape {
                Shape::Collection(row) => requests::collection(row, &parts),
                Shape::Graphs => requests::graphs(&parts),
            };
            match self.caller.send(&call).await {
                Ok(answer) => {
                    let told = match shape {
                        Shape::Collection(_) => {
                            let rows =
                                answers::collection(answer.status, &answer.body, items.len());
                            rows.into_iter().map(|told| vec![told]).collect()
                        }
                        Shape::Graphs => {
                            let rows: Vec<usize> =
                                items.iter().map(|item| item.places.len()).collect();
                            answers::graphs(answer.status, &answer.body, &rows)
                        }
                    };
                    for (item, told) in items.iter().zip(told) {
                        self.tell_item(item, told);
                    }
                }
                // Of one row the whole falls where it can't be read: find it.
                Err(told)
                    if told.fate == Fate::Refused
                        && told.status == Some(400)
                        && items.len() > 1 =>
                {
                    if self.splits == MAX_SPLITS {
                        let later = Told {
                            fate: Fate::Again { after: None },
                            said: format!("refused with others: {}", told.said),
                            ..told
                        };
                        self.tell_all(&items, &later);
                        continue;
                    }
                    self.splits += 1;
                    let mut first = items;
                    let second = first.split_off(first.len() / 2);
                    waiting.push(second);
                    waiting.push(first);
                }
                Err(told) => {
                    self.heed(&told);
                    self.tell_all(&items, &told);
                }
            }
        }
    }

    fn tell_all(&mut self, items: &[Item], told: &Told) {
        for item in items {
            self.tell_item(item, vec![told.clone(); item.places.len()]);
        }
    }

    fn tell_item(&mut self, item: &Item, told: Vec<Told>) {
        for told in &told {
            if let Fate::Pause { .. } = told.fate {
                self.stop = Some(told.clone());
            }
        }
        if let Some(newer) = told.first() {
            let told = if newer.written() {
                Told {
                    said: "overwritten by a newer record with its key in the same request"
                        .to_owned(),
                    ..newer.clone()
                }
            } else if let Fate::Pause { .. } = newer.fate {
                newer.clone()
            } else {
                let said = format!(
                    "a newer record with its key, sent instead of it, wasn't written: {}",
                    newer.said
                );
                Told {
                    fate: Fate::Again { after: None },
                    said,
                    ..newer.clone()
                }
            };
            for place in &item.instead_of {
                self.tell(*place, told.clone());
            }
        }
        let alone = item.places.len() == 1;
        for (place, told) in item.places.iter().zip(told) {
            if alone {
                self.tell_alone(*place, told);
            } else {
                self.tell(*place, told);
            }
        }
    }
}

pub(super) async fn sent(caller: &Caller, call: Call) -> Told {
    match caller.send(&call).await {
        Ok(answer) => answers::single(answer.status, &answer.body),
        Err(told) => told,
    }
}
