//! `/overview` and `/nodes/{name}`: the fleet in one glance. `/openapi.json`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use axum::http::{HeaderValue, header};
use axum::response::Response;
use nodekeep_service::fleet::gather::Stored;
use nodekeep_service::fleet::overview::{Detail, Overview};
use nodekeep_service::metrics::{CONTENT_TYPE, exposition};

use crate::call::{Call, Reply};
use crate::house::House;
use crate::openapi;
use crate::problem::Problem;

/// What is younger is taken as it is.
const FRESH: Duration = Duration::from_secs(3);
/// Figures that are older are not given to machines any more: they wait for a look.
const STALE: Duration = Duration::from_secs(60);

/// Looks at the fleet: what a face gives, for it knows settings and copies.
pub trait Fleet: Send + Sync {
    /// What the repository says: the dear part. What was read `before` need not be read again.
    ///
    /// # Errors
    /// If it cannot be read.
    fn stored(&self, before: Option<&Stored>) -> Result<Stored, Problem>;
    /// Every node.
    ///
    /// # Errors
    /// If a file of this machine is damaged.
    fn overview(&self, stored: &Stored) -> Result<Overview, Problem>;
    /// One node.
    ///
    /// # Errors
    /// As [`Fleet::overview`].
    fn node(&self, stored: &Stored, name: &str) -> Result<Option<Detail>, Problem>;
}

/// What was last seen of the fleet.
#[derive(Default)]
pub struct Overviews {
    kept: Mutex<Option<Arc<Kept>>>,
    /// One looks at a time.
    looking: Mutex<()>,
    is_looked_at: AtomicBool,
}

struct Kept {
    stored: Arc<Stored>,
    overview: Overview,
    at: Instant,
}

impl Overviews {
    /// What is known, at once: what the repository showed last, judged by the clock of now. If that is not fresh it is looked at beside,
    /// and who listens to events is told when that is done.
    fn kept(&self, house: &Arc<House>) -> Result<Arc<Kept>, Problem> {
        let Some(kept) = self.held() else { return self.look(house, FRESH) };
        if kept.at.elapsed() < FRESH {
            return Ok(kept);
        }
        self.look_beside(house, kept.at.elapsed() >= STALE);
        if kept.at.elapsed() < STALE {
            return Ok(kept);
        }
        let overview = house.site.fleet.overview(&kept.stored)?;
        Ok(Arc::new(Kept { stored: Arc::clone(&kept.stored), overview, at: kept.at }))
    }

    /// The same for machines, which ask once and not again: nothing in it is old.
    fn fresh(&self, house: &Arc<House>) -> Result<Arc<Kept>, Problem> {
        match self.held() {
            Some(kept) if kept.at.elapsed() < STALE => self.kept(house),
            _ => self.look(house, FRESH),
        }
    }

    fn look_beside(&self, house: &Arc<House>, tell: bool) {
        if self.is_looked_at.swap(true, Ordering::AcqRel) {
            return;
        }
        let house = Arc::clone(house);
        thread::spawn(move || {
            let looked = house.overviews.look(&house, FRESH);
            house.overviews.is_looked_at.store(false, Ordering::Release);
            if tell && looked.is_ok() {
                house.events.ask_again();
            }
        });
    }

    /// Looks again beside before what was seen is old: for as long as somebody has the dashboard open.
    pub fn keep(&self, house: &Arc<House>) {
        if self.held().is_none_or(|kept| kept.at.elapsed() > STALE / 2) {
            self.look_beside(house, true);
        }
    }

    /// Looks for the first time, so that the first page finds something. What fails is told to the page.
    pub fn warm(&self, house: &Arc<House>) {
        _ = self.look(house, FRESH);
    }

    /// Looks now. What fails is told to the request that finds nothing fresh enough.
    pub fn renew(&self, house: &House) {
        _ = self.look(house, Duration::ZERO);
    }

    fn held(&self) -> Option<Arc<Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn look(&self, house: &House, fresh: Duration) -> Result<Arc<Kept>, Problem> {
        let _alone = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = self.held().filter(|kept| kept.at.elapsed() < fresh) {
            return Ok(kept);
        }
        let at = Instant::now();
        let before = self.held();
        let stored = house.site.fleet.stored(before.as_ref().map(|kept| &*kept.stored))?;
        let overview = house.site.fleet.overview(&stored)?;
        let kept = Arc::new(Kept { stored: Arc::new(stored), overview, at });
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&kept));
        Ok(kept)
    }
}

/// What this request is answered from: a page asks again when it is told to, a script does not.
fn kept(call: &Call) -> Result<Arc<Kept>, Problem> {
    let is_page = call.who.as_ref().is_some_and(|who| who.session.is_some());
    match is_page {
        true => call.house.overviews.kept(&call.house),
        false => call.house.overviews.fresh(&call.house),
    }
}

/// `GET /overview`.
pub fn show(call: &Call) -> Result<Overview, Problem> {
    Ok(kept(call)?.overview.clone())
}

/// `GET /nodes/{name}`.
pub fn node(call: &Call) -> Result<Detail, Problem> {
    let kept = kept(call)?;
    let found = call.house.site.fleet.node(&kept.stored, call.param("name"))?;
    found.ok_or_else(|| Problem::not_found("there is no node of this name"))
}

/// `GET /metrics`.
pub fn metrics(call: &Call) -> Result<Reply, Problem> {
    let kept = kept(call)?;
    let mut response = Response::new(exposition(&kept.overview).into());
    let kind = HeaderValue::from_static(CONTENT_TYPE);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(Reply::Whole(response))
}

/// `GET /openapi.json`.
pub fn openapi(_: &Call) -> Result<Reply, Problem> {
    let mut response = Response::new(openapi::text().into());
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(Reply::Whole(response))
}
