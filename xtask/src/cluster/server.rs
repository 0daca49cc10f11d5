//! What the servers themselves promise, asked for without the program: is an object created only if it is absent?

use std::thread;

use super::ceph::Ceph;
use super::garage::Garage;
use super::s3::{Request, S3};
use super::stage::Stage;
use crate::error::Error;

/// So many create the same object at once.
const RACERS: usize = 16;

/// The status of a second creation, and how many of a race were told that they made the object.
struct Found {
    second: u16,
    winners: usize,
}

/// Ceph tells the second 412, and one of a race that it won.
pub fn truthful(stage: &mut Stage<Ceph>) -> Result<String, Error> {
    let rounds = stage.rounds(5, 40);
    for round in 0..rounds {
        let found = ask(&stage.owner, &format!("race-{round}"))?;
        if found.second != 412 || found.winners != 1 {
            let Found { second, winners } = found;
            return Err(Error::Broken(format!("{second} for the second, {winners} winners")));
        }
    }
    Ok(format!("{rounds} races of {RACERS}, each with one winner; a second creation gets 412"))
}

/// Garage tells everybody that they made the object: the lie that `init` must see.
pub fn lying(stage: &mut Stage<Garage>) -> Result<String, Error> {
    let found = ask(&stage.owner, "race")?;
    if found.second == 200 && found.winners == RACERS {
        return Ok(format!("a second creation gets 200, and all {RACERS} of a race win"));
    }
    let Found { second, winners } = found;
    Err(Error::Broken(format!(
        "Garage does not lie any more ({second} for the second, {winners} winners): the scenarios of a lying store need another one"
    )))
}

fn ask(owner: &S3, bucket: &str) -> Result<Found, Error> {
    owner.create_bucket(bucket)?;
    create(owner, &format!("{bucket}/twice"), b"first")?;
    let second = create(owner, &format!("{bucket}/twice"), b"second")?;
    let path = format!("{bucket}/raced");
    let statuses: Result<Vec<u16>, Error> = thread::scope(|scope| {
        let racers: Vec<_> = (0..RACERS)
            .map(|number| (owner, &path, number.to_string()))
            .map(|(owner, path, body)| scope.spawn(move || create(owner, path, body.as_bytes())))
            .collect();
        let ended = racers.into_iter().map(|racer| {
            racer.join().unwrap_or_else(|_| Err(Error::Broken("a racer panicked".to_owned())))
        });
        ended.collect()
    });
    let winners = statuses?.into_iter().filter(|status| *status == 200).count();
    Ok(Found { second, winners })
}

/// Creates an object if it is absent; a conflict with one that is just being created is asked again.
fn create(owner: &S3, path: &str, body: &[u8]) -> Result<u16, Error> {
    let headers = [("if-none-match", "*")];
    let request = Request { method: "PUT", path, headers: &headers, body, ..Request::default() };
    loop {
        match owner.send(request)?.status {
            409 => {}
            status => return Ok(status),
        }
    }
}
