//! What goes on, as it happens: one thread looks at the files of jobs, alerts and events while somebody listens, and tells all who do.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use hyper::body::Frame;
use jiff::Timestamp;
use nodekeep_service::diary;
use nodekeep_service::jobs::{JobId, Record};
use nodekeep_service::notify::alerts::Alerts;
use serde::Serialize;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, watch};

use crate::answer::alerts::AlertDocument;
use crate::answer::jobs::{Job, State};
use crate::answer::log::LogLine;
use crate::call::{Call, Reply, Who};
use crate::house::House;
use crate::problem::Problem;

/// How often it is looked while somebody listens.
const LOOK: Duration = Duration::from_millis(250);
/// A line now and then, so that nobody on the way takes the connection for dead; then too it is seen whether the token still holds.
const BEAT: Duration = Duration::from_secs(15);
/// What only browsing needs is let go of after so long.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// Listeners, at most.
const MOST: usize = 32;
/// Events that one may lag behind; who lags more is told to ask again.
const LAG: usize = 256;

/// Tells all who listen.
#[derive(Debug, Clone)]
pub struct Events {
    sender: broadcast::Sender<Arc<str>>,
    stopped: watch::Receiver<bool>,
}

impl Events {
    /// Nobody listens yet. When `stopped` changes, every stream ends.
    pub fn new(stopped: watch::Receiver<bool>) -> Self {
        Self { sender: broadcast::channel(LAG).0, stopped }
    }

    /// Tells that the overview has changed.
    pub fn ask_again(&self) {
        self.tell("overview", &json!({}));
    }

    fn tell(&self, event: &str, data: &impl Serialize) {
        if let Ok(data) = serde_json::to_string(data) {
            // Nobody may be left who listens.
            _ = self.sender.send(format!("event: {event}\ndata: {data}\n\n").into());
        }
    }

    /// Looks as long as the server runs, while somebody listens.
    pub async fn watch(self, house: Arc<House>) {
        let mut stopped = self.stopped.clone();
        let mut seen = Seen::default();
        while !*stopped.borrow() {
            if self.sender.receiver_count() == 0 {
                seen = Seen::default();
                house.library.rest(IDLE);
            } else {
                house.library.keep();
                house.overviews.keep(&house);
                let (events, house) = (self.clone(), Arc::clone(&house));
                let looked = tokio::task::spawn_blocking(move || {
                    seen.look(&house, &events);
                    seen
                });
                seen = looked.await.unwrap_or_default();
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stopped.changed() => {}
            }
        }
    }
}

/// `GET /events`.
pub fn listen(call: &Call) -> Result<Reply, Problem> {
    let events = &call.house.events;
    if events.sender.receiver_count() >= MOST {
        let message = "as many listen already as are let in";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "try-again", message));
    }
    call.house.library.prepare();
    let (sender, receiver) = mpsc::channel(16);
    let who = call.who.clone();
    let pass = pass(Arc::clone(&call.house), who, events.sender.subscribe(), sender);
    Handle::current().spawn(pass);
    let mut response = Response::new(Body::new(Stream(receiver)));
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(Reply::Whole(response))
}

/// Passes events on to one listener, as long as its token holds.
async fn pass(
    house: Arc<House>,
    who: Option<Who>,
    mut events: broadcast::Receiver<Arc<str>>,
    listener: mpsc::Sender<Bytes>,
) {
    let mut stopped = house.events.stopped.clone();
    let mut beat = tokio::time::interval(BEAT);
    loop {
        let text: Arc<str> = tokio::select! {
            event = events.recv() => match event {
                Ok(text) => text,
                Err(broadcast::error::RecvError::Lagged(_)) => "event: overview\ndata: {}\n\n".into(),
                Err(broadcast::error::RecvError::Closed) => return,
            },
            _ = beat.tick() => {
                if !holds(&house, who.as_ref()) {
                    return;
                }
                ": here\n\n".into()
            }
            _ = stopped.changed() => return,
        };
        if listener.send(Bytes::copy_from_slice(text.as_bytes())).await.is_err() {
            return;
        }
    }
}

fn holds(house: &House, who: Option<&Who>) -> bool {
    let Some(who) = who else { return false };
    let session = who.session.as_ref();
    session.is_none_or(|(id, _)| house.sessions.find(id).is_some())
        && house.tokens.still(&who.token, Timestamp::now()).unwrap_or(false)
}

struct Stream(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Stream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|next| next.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// What was last seen, so that only what is new is told.
#[derive(Default)]
struct Seen {
    began: bool,
    /// Records by their files' times: a file that did not change is not read again.
    records: BTreeMap<JobId, (SystemTime, Record)>,
    told: BTreeMap<JobId, Job>,
    alerts: Alerts,
    line: u64,
    /// How large the files of events were.
    size: u64,
}

impl Seen {
    fn look(&mut self, house: &Arc<House>, events: &Events) {
        let ended = self.jobs(house, events);
        self.alerts(house, events);
        self.log(house, events);
        if ended {
            // What the job changed is there before anybody is told to ask again.
            _ = house.library.renew();
            house.overviews.renew(house);
            events.ask_again();
        }
        self.began = true;
    }

    /// Tells of jobs that changed; returns whether one ended.
    fn jobs(&mut self, house: &House, events: &Events) -> bool {
        let mut ended = false;
        self.read(house);
        for (id, (_, record)) in &self.records {
            let settled =
                record.ended.is_some() && self.told.get(id).is_some_and(|job| job.ended.is_some());
            if settled {
                continue;
            }
            let job = Job::of(&house.journal, record);
            if self.told.get(id) == Some(&job) {
                continue;
            }
            if self.began {
                ended |= !matches!(job.state, State::Running | State::Waiting);
                events.tell("job", &job);
            }
            self.told.insert(id.clone(), job);
        }
        ended
    }

    fn read(&mut self, house: &House) {
        let entries = fs::read_dir(house.journal.folder()).into_iter().flatten().flatten();
        let mut there = Vec::new();
        for entry in entries {
            let name = entry.file_name();
            let id =
                name.to_str().and_then(|name| name.strip_suffix(".json")?.parse::<JobId>().ok());
            let time = entry.metadata().and_then(|metadata| metadata.modified());
            let (Some(id), Ok(time)) = (id, time) else { continue };
            there.push(id.clone());
            match self.records.entry(id) {
                Entry::Occupied(known) if known.get().0 == time => {}
                entry => {
                    if let Ok(record) = house.journal.read(entry.key()) {
                        entry.insert_entry((time, record));
                    }
                }
            }
        }
        there.sort();
        self.records.retain(|id, _| there.binary_search(id).is_ok());
        self.told.retain(|id, _| there.binary_search(id).is_ok());
    }

    fn alerts(&mut self, house: &House, events: &Events) {
        let Ok(now) = house.desk.alerts() else { return };
        let raised: Vec<AlertDocument> = now
            .iter()
            .filter(|(key, _)| !self.alerts.contains_key(*key))
            .map(|(key, alert)| AlertDocument::of(key, alert))
            .collect();
        let cleared: Vec<&String> =
            self.alerts.keys().filter(|key| !now.contains_key(*key)).collect();
        if self.began && (!raised.is_empty() || !cleared.is_empty()) {
            events.tell("alert", &json!({ "raised": raised, "cleared": cleared }));
            house.overviews.renew(house);
            events.ask_again();
        }
        self.alerts = now;
    }

    fn log(&mut self, house: &House, events: &Events) {
        let size = diary::size(&house.site.folder);
        if self.began && size == self.size {
            return;
        }
        self.size = size;
        let Ok(lines) = diary::lines(&house.site.folder) else { return };
        let last = lines.last().map_or(0, |line| line.number);
        if self.began {
            for line in lines.iter().filter(|line| line.number > self.line) {
                events.tell("log", &LogLine::from(line));
            }
        }
        self.line = last;
    }
}
