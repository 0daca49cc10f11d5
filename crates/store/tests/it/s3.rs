//! A real S3 server, where the environment names one:
//!
//! - `NODEKEEP_TEST_S3_ENDPOINT`: where it answers, as `http://127.0.0.1:17480`
//! - `NODEKEEP_TEST_S3_REGION`: by default `us-east-1`
//! - `NODEKEEP_TEST_S3_BUCKET`: an existing bucket, by default `nodekeep-test`
//! - `NODEKEEP_TEST_S3_LIES`: set, if the server is known to overwrite; then only the probe runs
//! - `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`: credentials that may do everything

use std::env;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use nodekeep_store::{
    Address, Allowed, Created, Durability, Environment, Honesty, OpenOptions, S3Options, Store,
    StoreErrorKind,
};

/// A prefix of its own on a real server, emptied when dropped.
pub(crate) struct Scratch {
    options: OpenOptions,
    bucket: String,
    prefix: String,
}

static COUNT: AtomicU64 = AtomicU64::new(0);

impl Scratch {
    pub(crate) fn of_honest_server() -> Option<Self> {
        let is_honest = env::var_os("NODEKEEP_TEST_S3_LIES").is_none();
        Self::of_any_server().filter(|_| is_honest)
    }

    fn of_any_server() -> Option<Self> {
        let endpoint = env::var("NODEKEEP_TEST_S3_ENDPOINT").ok()?;
        let region = env::var("NODEKEEP_TEST_S3_REGION").ok();
        let bucket = env::var("NODEKEEP_TEST_S3_BUCKET").unwrap_or("nodekeep-test".into());
        let s3 = S3Options { endpoint: Some(endpoint), region, ..S3Options::default() };
        let environment = Environment::from_vars(env::vars_os());
        let options = OpenOptions { environment, s3, ..OpenOptions::default() };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // Capitals and spaces, which names of objects cannot have.
        let prefix = format!("Test Run {now}/{}-{number}", std::process::id());
        Some(Self { options, bucket, prefix })
    }

    pub(crate) fn store(&self) -> Store {
        self.store_in(&self.bucket)
    }

    fn store_in(&self, bucket: &str) -> Store {
        let address = Address::parse(&format!("s3://{bucket}/{}", self.prefix)).unwrap();
        Store::open(&address, &self.options).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let store = self.store();
        for object in store.list("").into_iter().flatten() {
            let _ = store.delete(&object.name);
        }
    }
}

#[test]
fn the_probe_tells_whether_the_server_lies() {
    let Some(scratch) = Scratch::of_any_server() else {
        return;
    };
    let probe = scratch.store().probe().unwrap();
    println!("{probe}");
    let lies = env::var_os("NODEKEEP_TEST_S3_LIES").is_some();
    assert_eq!(probe.is_honest(), !lies, "{probe}");
    assert_eq!(probe.create_if_absent == Honesty::Honest, !lies, "{probe}");
    assert_eq!(probe.delete, Allowed::Yes);
    assert_eq!(scratch.store().list("").unwrap(), []);
}

#[test]
fn long_listings_are_complete_and_others_keys_are_left_alone() {
    let Some(scratch) = Scratch::of_honest_server() else {
        return;
    };
    let store = scratch.store();
    let names: Vec<_> = (0..2345).map(|number| format!("c/{number:05}")).collect();
    std::thread::scope(|scope| {
        for part in names.chunks(names.len().div_ceil(16)) {
            let store = &store;
            scope.spawn(move || {
                for name in part {
                    let created = store.create(name, b"x", Durability::Visible).unwrap();
                    assert_eq!(created, Created::New);
                }
            });
        }
    });
    let listed = store.list("c/").unwrap();
    assert!(listed.iter().map(|object| &object.name).eq(&names), "{} listed", listed.len());
    assert_eq!(store.list("c/023").unwrap().len(), 45);
}

#[test]
fn wrong_buckets_and_keys_are_named_as_such() {
    let Some(mut scratch) = Scratch::of_any_server() else {
        return;
    };
    let missing = scratch.store_in("nodekeep-no-such-bucket");
    for error in [
        missing.list("").unwrap_err(),
        missing.create("a", b"", Durability::Durable).unwrap_err(),
        missing.get("a").unwrap_err(),
    ] {
        assert_eq!(error.kind, StoreErrorKind::NoSuchBucket, "{error}");
    }
    let good = scratch.options.s3.credentials.take();
    scratch.options.s3.credentials = Some(nodekeep_store::S3Credentials {
        access_key_id: "nobody".into(),
        secret_access_key: "wrong".into(),
        session_token: None,
    });
    let store = scratch.store();
    for error in [
        store.list("").unwrap_err(),
        store.size("a").unwrap_err(),
        store.create("a", b"", Durability::Durable).unwrap_err(),
        store.delete("a").unwrap_err(),
    ] {
        let refused = [StoreErrorKind::BadCredentials, StoreErrorKind::PermissionDenied];
        assert!(refused.contains(&error.kind), "{error}");
        println!("{error}");
    }
    scratch.options.s3.credentials = good;
}
