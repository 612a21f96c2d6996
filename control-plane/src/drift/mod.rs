//! Drift: what event types look like is learned from the events that come, and a webhook is told when a path that it reads is gone or has become
//! something else.
//!
//! ```text
//!  report ─ a few events of each type ─▶ queue ─▶ walk ─▶ Shape ─ every so often ─▶ Notes
//!                                                           │
//!                              mapping, filter, orderBy ─▶ warning ─▶ status.warnings, a metric
//! ```
//!
//! It promises little, and costs as little: no answer waits for it; at most one event of a type is looked at each second, after the first few;
//! a shape has 500 paths; everything else is bounded by the numbers here. What was learned in the last half minute before a crash is lost. Names
//! and kinds are learned and kept, never values: a name that looks like data is learned as `*`. It learns from what is kept: of what no webhook
//! wants it knows nothing, unless the group captures it.

mod learning;
mod reads;
mod sampler;
mod shape;
mod walk;
mod warning;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hookplane_proto::v1;
use hookplane_rules::{Timestamp, payload, takes};
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::log::{DeliveryLog, LogError, MAX_SHAPES, NewCallback};
pub(crate) use learning::run;
use reads::{Paths, Reads};
use sampler::Sampler;
use shape::Shape;

/// Events that wait to be looked at. What comes beyond isn't.
const QUEUE: usize = 256;
/// Larger bodies aren't looked at.
const MAX_BODY_BYTES: usize = 256 * 1024;
/// Event types in memory, of all groups; past it those that were used longest ago are read anew when they are needed.
const MAX_IN_MEMORY: usize = 2_000;
/// Their paths, in bytes, with what is known of each. With what [`reads`] has it is 64 MiB.
const MAX_SHAPES_BYTES: usize = 48 * 1024 * 1024;
/// How old what other replicas learned may be.
const FRESH: Duration = Duration::from_secs(60);

/// What is known of the shapes of event types.
pub struct Drift {
    log: Arc<dyn DeliveryLog>,
    queue: mpsc::Sender<v1::Event>,
    /// Taken by the task that learns.
    waiting: Mutex<Option<mpsc::Receiver<v1::Event>>>,
    sampler: Mutex<Sampler>,
    groups: Mutex<HashMap<String, Group>>,
    reads: Mutex<Reads>,
    /// One at a time reads or writes what is kept.
    keeping: tokio::sync::Mutex<()>,
}

/// One group's.
struct Group {
    read: Instant,
    used: Instant,
    types: BTreeMap<String, Known>,
}

/// One event type's.
#[derive(Default)]
struct Known {
    /// All of it.
    whole: Shape,
    /// Of that, what isn't kept yet.
    new: Shape,
    /// Of both, in memory.
    bytes: usize,
}

impl Known {
    fn weigh(&mut self) {
        self.bytes = self.whole.weight() + self.new.weight();
    }
}

/// Event types in memory, and their bytes.
fn total(groups: &HashMap<String, Group>) -> (usize, usize) {
    let types = groups.values().flat_map(|group| group.types.values());
    types.fold((0, 0), |(count, bytes), known| {
        (count + 1, bytes + known.bytes)
    })
}

impl Drift {
    /// Nothing is known yet.
    pub fn new(log: Arc<dyn DeliveryLog>) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        Self {
            log,
            queue,
            waiting: Mutex::new(Some(waiting)),
            sampler: Mutex::default(),
            groups: Mutex::default(),
            reads: Mutex::default(),
            keeping: tokio::sync::Mutex::default(),
        }
    }

    /// Those events of a callback that are to be looked at once it is kept: mostly none.
    pub(crate) fn samples(&self, callback: &NewCallback) -> Vec<v1::Event> {
        let mut samples = Vec::new();
        for new in &callback.events {
            let event = &new.event;
            if event.body.len() <= MAX_BODY_BYTES
                && locked(&self.sampler).takes(&event.group_uid, &event.r#type, Instant::now())
            {
                samples.push(look(event));
            }
        }
        samples
    }

    /// They were kept.
    pub(crate) fn learn_from(&self, samples: Vec<v1::Event>) {
        for sample in samples {
            // Others will come.
            let _ = self.queue.try_send(sample);
        }
    }

    /// What a webhook should be told, of all event types that it takes.
    pub(crate) async fn warnings(
        &self,
        group_uid: &str,
        webhook: &v1::Webhook,
    ) -> Vec<v1::WebhookWarning> {
        let reads = self.reads(webhook).await;
        let spec = webhook.spec.as_ref();
        let events = spec
            .filter(|spec| spec.active)
            .map_or(&[][..], |spec| &spec.events);
        if reads.is_empty() || events.is_empty() {
            return Vec::new();
        }
        if let Err(error) = self.read(group_uid).await {
            tracing::warn!(%error, group_uid, "what is known of its events' shapes can't be read; no warning is shown");
            return Vec::new();
        }
        let groups = locked(&self.groups);
        let types = groups
            .get(group_uid)
            .into_iter()
            .flat_map(|group| &group.types);
        types
            .filter(|(name, _)| events.iter().any(|asked| takes(asked, name)))
            .flat_map(|(name, known)| warning::of_webhook(name, &known.whole, &reads))
            .collect()
    }

    /// The paths that a webhook reads. They are worked out aside, and nobody waits for another's.
    async fn reads(&self, webhook: &v1::Webhook) -> Paths {
        let Some((spec, metadata)) = webhook.spec.as_ref().zip(webhook.metadata.as_ref()) else {
            return Paths::default();
        };
        let version = reads::version(spec);
        if let Some(paths) = locked(&self.reads).known(&metadata.uid, &version) {
            return paths;
        }
        let of_task = spec.clone();
        match tokio::task::spawn_blocking(move || reads::paths(&of_task)).await {
            Ok(paths) => {
                locked(&self.reads).note(&metadata.uid, version, Paths::clone(&paths));
                paths
            }
            Err(error) => {
                let webhook = &metadata.name;
                tracing::error!(%error, webhook, "the paths that a webhook reads can't be worked out");
                Paths::default()
            }
        }
    }

    /// Takes one event in. True when something of its type is no longer what it was.
    async fn learn(&self, event: &v1::Event, now: Timestamp) -> Result<bool, LogError> {
        let Ok(payload) = payload::json_of(event) else {
            return Ok(false);
        };
        let found = walk::paths(&payload);
        self.read(&event.group_uid).await?;
        let mut groups = locked(&self.groups);
        let (count, bytes) = total(&groups);
        let Some(group) = groups.get_mut(&event.group_uid) else {
            return Ok(false);
        };
        let is_known = group.types.contains_key(&event.r#type);
        if !is_known
            && (group.types.len() >= MAX_SHAPES
                || count >= 2 * MAX_IN_MEMORY
                || bytes >= 2 * MAX_SHAPES_BYTES)
        {
            return Ok(false);
        }
        let known = group.types.entry(event.r#type.clone()).or_default();
        known.whole.learn(&found, now);
        known.new.learn(&found, now);
        known.weigh();
        Ok(warning::is_any(&known.whole))
    }

    /// What is kept of a group is in memory after this, and not too old.
    async fn read(&self, group_uid: &str) -> Result<(), LogError> {
        let now = Instant::now();
        let is_fresh = |group: &mut Group| {
            group.used = now;
            now.duration_since(group.read) < FRESH
        };
        if locked(&self.groups)
            .get_mut(group_uid)
            .is_some_and(is_fresh)
        {
            return Ok(());
        }
        let _alone = self.keeping.lock().await;
        let kept = self.log.notes().shapes(group_uid).await?;
        let mut groups = locked(&self.groups);
        let group = groups.entry(group_uid.to_owned()).or_insert_with(|| Group {
            read: now,
            used: now,
            types: BTreeMap::new(),
        });
        group.read = now;
        for (name, record) in kept {
            let known = group.types.entry(name).or_default();
            known.whole = decoded(record);
            known.whole.append(&known.new);
            known.weigh();
        }
        make_room(&mut groups, group_uid);
        Ok(())
    }

    /// Keeps what was learned since the last time, on top of what others have kept meanwhile. `is_there`: groups that are gone are forgotten.
    async fn keep(&self, is_there: impl Fn(&str) -> bool) -> Result<(), LogError> {
        let _alone = self.keeping.lock().await;
        let changed: Vec<String> = {
            let mut groups = locked(&self.groups);
            groups.retain(|uid, _| is_there(uid));
            let changed = groups
                .iter()
                .filter(|(_, group)| group.types.values().any(|known| known.new.samples > 0));
            changed.map(|(uid, _)| uid.clone()).collect()
        };
        for uid in changed {
            let mut kept: BTreeMap<String, Shape> = BTreeMap::new();
            for (name, record) in self.log.notes().shapes(&uid).await? {
                kept.insert(name, decoded(record));
            }
            let news: Vec<(String, Shape)> = {
                let groups = locked(&self.groups);
                let types = groups.get(&uid).into_iter().flat_map(|group| &group.types);
                let news = types.filter(|(_, known)| known.new.samples > 0);
                news.map(|(name, known)| (name.clone(), known.new.clone()))
                    .collect()
            };
            for (name, new) in news {
                let mut shape = kept.remove(&name).unwrap_or_default();
                shape.append(&new);
                self.log
                    .notes()
                    .remember_shape(&uid, &name, shape.kept())
                    .await?;
                if let Some(known) = locked(&self.groups)
                    .get_mut(&uid)
                    .and_then(|group| group.types.get_mut(&name))
                {
                    // Nobody else learns: what is new is what was written.
                    known.whole = shape;
                    known.new = Shape::default();
                    known.weigh();
                }
            }
        }
        make_room(&mut locked(&self.groups), "");
        Ok(())
    }
}

/// Forgets those that were used longest ago: not `but`, which is used now, and none that has something to be kept.
fn make_room(groups: &mut HashMap<String, Group>, but: &str) {
    let (mut count, mut bytes) = total(groups);
    while count > MAX_IN_MEMORY || bytes > MAX_SHAPES_BYTES {
        let kept = |group: &Group| group.types.values().all(|known| known.new.samples == 0);
        let oldest = groups
            .iter()
            .filter(|(uid, group)| *uid != but && kept(group))
            .min_by_key(|(_, group)| group.used);
        let Some(uid) = oldest.map(|(uid, _)| uid.clone()) else {
            return;
        };
        if let Some(gone) = groups.remove(&uid) {
            count -= gone.types.len();
            bytes -= gone.types.values().map(|known| known.bytes).sum::<usize>();
        }
    }
}

/// What is looked at of an event.
fn look(event: &v1::Event) -> v1::Event {
    let encoding = event.headers.get_key_value("content-encoding");
    v1::Event {
        group_uid: event.group_uid.clone(),
        r#type: event.r#type.clone(),
        format: event.format,
        content_type: event.content_type.clone(),
        body: event.body.clone(),
        payload: event.payload.clone(),
        headers: encoding
            .map(|(name, value)| (name.clone(), value.clone()))
            .into_iter()
            .collect(),
        ..Default::default()
    }
}

/// One that can't be read was written by another version: it is learned anew.
fn decoded(record: bytes::Bytes) -> Shape {
    Shape::decode(record).unwrap_or_else(|error| {
        tracing::warn!(%error, "what is kept of an event type's shape can't be read; it is learned anew");
        Shape::default()
    })
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
