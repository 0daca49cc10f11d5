//! The contract suite of `crates/store`, against real servers.

use std::fs::File;
use std::process::Stdio;

use super::s3::S3;
use super::stage::Stage;
use crate::error::Error;
use crate::place;

/// Runs the suite's tests of S3 with these servers.
pub fn run<C>(stage: &mut Stage<C>) -> Result<String, Error> {
    let bucket = "contract";
    let S3 { server, region, keys } = &stage.owner;
    stage.owner.create_bucket(bucket, false)?;
    let logs = place::target().join("cluster");
    std::fs::create_dir_all(&logs).map_err(Error::file(&logs))?;
    let log = logs.join("contract.log");
    let output = File::create(&log).map_err(Error::file(&log))?;
    let errors = output.try_clone().map_err(Error::file(&log))?;
    let mut cargo = place::cargo();
    cargo.current_dir(place::root());
    cargo.args(["test", "--locked", "--package", "nodekeep-store", "--test", "it"]);
    cargo.env("NODEKEEP_TEST_S3_ENDPOINT", format!("http://{server}"));
    cargo.env("NODEKEEP_TEST_S3_BUCKET", bucket).env("NODEKEEP_TEST_S3_REGION", region);
    cargo.env("NODEKEEP_TEST_S3_ACCESS_KEY", &keys.access);
    cargo.env("NODEKEEP_TEST_S3_SECRET_KEY", &keys.secret);
    cargo.stdin(Stdio::null()).stdout(output).stderr(errors);
    let status = cargo
        .status()
        .map_err(|source| Error::Start { program: place::spelled(&cargo), source })?;
    let said = place::read(&log)?;
    if !status.success() {
        return Err(Error::Failed { program: place::spelled(&cargo), status, log: Some(log) });
    }
    let result = said.lines().find(|line| line.starts_with("test result"));
    let result =
        result.ok_or_else(|| Error::Broken(format!("no tests ran, see {}", log.display())))?;
    Ok(result.trim_start_matches("test result: ").to_owned())
}
