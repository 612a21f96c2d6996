//! What a stubbed org holds: objects with typed fields, and their records.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::token::App;

/// A record's fields as JSON text, so that a number keeps the digits that it came with.
pub type Fields = BTreeMap<String, String>;

/// A field's type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Of at most so many characters.
    Text(u32),
    /// A number with a fraction.
    Number,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// `2026-11-27`
    Date,
    /// `2026-11-27T10:00:00Z`, or with an offset.
    DateTime,
    /// One of these, and no other.
    Picklist(Vec<&'static str>),
    /// A record of that object, found through that relationship.
    Reference(&'static str, &'static str),
}

/// A field.
#[derive(Debug, Clone)]
pub struct Field {
    /// `Total__c`
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// No record is created without it.
    pub required: bool,
    /// Records can be found by it.
    pub external_id: bool,
    /// No two records have the same.
    pub unique: bool,
    /// False: set by the org alone.
    pub writable: bool,
}

impl Field {
    /// Neither required nor a key.
    pub fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            required: false,
            external_id: false,
            unique: false,
            writable: true,
        }
    }

    /// A unique external id of 255 characters.
    pub fn key(name: &'static str) -> Self {
        Self {
            external_id: true,
            unique: true,
            ..Self::new(name, Kind::Text(255))
        }
    }

    /// No record is created without it.
    pub fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }
}

/// An object and its records by id.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its fields.
    pub fields: Vec<Field>,
    /// Its records.
    pub records: BTreeMap<String, Fields>,
    /// When its fields were last changed, as HTTP has it.
    pub changed: String,
}

impl Object {
    /// A field, whatever its name's case.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))
    }

    /// Records with that value, whatever its case.
    pub fn found(&self, field: &str, value: &str) -> Vec<String> {
        let same = |text: &String| plain(text).to_lowercase() == value.to_lowercase();
        let has = |fields: &Fields| fields.get(field).is_some_and(same);
        self.records
            .iter()
            .filter(|(_, fields)| has(fields))
            .map(|(id, _)| id.clone())
            .collect()
    }
}

/// JSON text without its quotes.
pub fn plain(json: &str) -> String {
    serde_json::from_str::<String>(json).unwrap_or_else(|_| json.to_owned())
}

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answered so, and nothing is done.
    Answer(u16, String),
    /// With this header.
    AnswerWith(u16, (&'static str, &'static str), String),
    /// The connection is closed, and nothing is done.
    Reset,
    /// It is done, and the connection is closed without an answer.
    ResetAfterwards,
    /// Never answered.
    Silence,
    /// The token has expired.
    Expired,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `PATCH`
    pub method: String,
    /// With its query, as it was encoded.
    pub path: String,
    /// Lower-case names.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
}

/// The org.
#[derive(Debug)]
pub struct Org {
    /// By name.
    pub objects: BTreeMap<String, Object>,
    /// Who may ask for tokens.
    pub app: App,
    /// Calls so far, and those of a day.
    pub calls: (u32, u32),
    /// Requests that are to fail: the first whose path has the text.
    pub faults: VecDeque<(String, Fault)>,
    /// How often a record, named by its external id, is locked from now on.
    pub locks: HashMap<String, u32>,
    /// All that was asked.
    pub seen: Vec<Seen>,
    /// Records that requests under way have locked.
    pub(super) held: Vec<String>,
    /// Those of the request that is looked at.
    pub(super) locking: Vec<String>,
    made: u64,
}

impl Org {
    /// Without objects.
    pub fn empty(app: App) -> Self {
        Self {
            objects: BTreeMap::new(),
            app,
            calls: (0, 100_000),
            faults: VecDeque::new(),
            locks: HashMap::new(),
            seen: Vec::new(),
            held: Vec::new(),
            locking: Vec::new(),
            made: 0,
        }
    }

    /// A shop's: accounts, orders that point to them, lines that point to orders, and a platform event.
    pub fn shop(app: App) -> Self {
        let mut org = Self::empty(app);
        org.add(
            "Account",
            vec![
                Field::new("Name", Kind::Text(80)).required(),
                Field::key("Email__c"),
                Field::new("Phone", Kind::Text(40)),
            ],
        );
        org.add(
            "Order__c",
            vec![
                Field::key("Shop_Id__c"),
                Field::new("Total__c", Kind::Number),
                Field::new("Note__c", Kind::Text(40)),
                Field::new("Late__c", Kind::Boolean),
                Field::new("Items__c", Kind::Integer),
                Field::new("Paid_On__c", Kind::Date),
                Field::new("Paid_At__c", Kind::DateTime),
                Field::new("Status__c", Kind::Picklist(vec!["Open", "Closed"])),
                Field::new("Stage__c", Kind::Picklist(vec!["Open", "Paid", "Closed"])),
                Field::new("Account__c", Kind::Reference("Account", "Account__r")),
                Field {
                    external_id: true,
                    ..Field::new("Batch__c", Kind::Text(40))
                },
                Field {
                    writable: false,
                    ..Field::new("Number__c", Kind::Text(20))
                },
            ],
        );
        org.add(
            "OrderLine__c",
            vec![
                Field::key("Line_Id__c"),
                Field::new("Sku__c", Kind::Text(20)),
                Field::new("Quantity__c", Kind::Integer),
                Field::new("Order__c", Kind::Reference("Order__c", "Order__r")).required(),
            ],
        );
        org.add(
            "Order_Paid__e",
            vec![Field::new("Shop_Id__c", Kind::Text(40)).required()],
        );
        org
    }

    /// Adds an object.
    pub fn add(&mut self, name: &str, fields: Vec<Field>) {
        let object = Object {
            fields,
            records: BTreeMap::new(),
            changed: "Fri, 27 Nov 2026 10:00:00 GMT".to_owned(),
        };
        self.objects.insert(name.to_owned(), object);
    }

    /// The next of those that are to fail, if it is for this path.
    pub(super) fn fault(&mut self, path: &str) -> Option<Fault> {
        let place = self
            .faults
            .iter()
            .position(|(text, _)| path.contains(text.as_str()))?;
        Some(self.faults.remove(place)?.1)
    }

    /// An id of 18 characters.
    pub(super) fn new_id(&mut self) -> String {
        self.made += 1;
        format!("a00{:012}AAA", self.made)
    }

    /// Puts a record there, as somebody in the org would. Its id.
    pub fn put<const N: usize>(&mut self, object: &str, fields: [(&str, &str); N]) -> String {
        let id = self.new_id();
        let json = |text: &str| serde_json::to_string(text).expect("text is JSON");
        let fields = fields.map(|(name, value)| (name.to_owned(), json(value)));
        let object = self
            .objects
            .get_mut(object)
            .expect("an object of the org's");
        object.records.insert(id.clone(), fields.into());
        id
    }

    /// The records of an object, in order of their making.
    pub fn records(&self, object: &str) -> Vec<Fields> {
        self.objects
            .get(object)
            .map(|object| object.records.values().cloned().collect())
            .unwrap_or_default()
    }

    /// The one record with that value.
    pub fn one(&self, object: &str, field: &str, value: &str) -> Option<Fields> {
        let object = self.objects.get(object)?;
        match &object.found(field, value)[..] {
            [id] => object.records.get(id).cloned(),
            _ => None,
        }
    }
}
