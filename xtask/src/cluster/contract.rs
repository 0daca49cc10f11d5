//! The contract suite of `crates/store`, against real servers.

use std::fs::File;
use std::process::Stdio;

use super::s3::S3;
use super::stage::Stage;
use crate::error::Error;
use crate::place;

/// Runs the suite with servers that create an object only if it is absent.
pub fn run<C>(stage: &mut Stage<C>) -> Result<String, Error> {
    perform(stage, "contract", &[])
}

/// Runs what is left of the suite with servers that overwrite.
pub fn of_liars<C>(stage: &mut Stage<C>) -> Result<String, Error> {
    perform(stage, "contract-of-liars", &[("NODEKEEP_TEST_S3_LIES", "1")])
}

/// The variables are those of `crates/store/tests/it/s3.rs`.
fn perform<C>(stage: &Stage<C>, bucket: &str, variables: &[(&str, &str)]) -> Result<String, Error> {
    let S3 { server, region, keys } = &stage.owner;
    stage.owner.create_bucket(bucket)?;
    let logs = place::target().join("cluster");
    std::fs::create_dir_all(&logs).map_err(Error::file(&logs))?;
    let log = logs.join(format!("{bucket}.log"));
    let output = File::create(&log).map_err(Error::file(&log))?;
    let errors = output.try_clone().map_err(Error::file(&log))?;
    let mut cargo = place::cargo();
    cargo.current_dir(place::root());
    cargo.args(["test", "--locked", "--package", "nodekeep-store", "--test", "it"]);
    cargo.env("NODEKEEP_TEST_S3_ENDPOINT", format!("http://{server}"));
    cargo.env("NODEKEEP_TEST_S3_BUCKET", bucket).env("NODEKEEP_TEST_S3_REGION", region);
    cargo.env("AWS_ACCESS_KEY_ID", &keys.access).env("AWS_SECRET_ACCESS_KEY", &keys.secret);
    cargo.envs(variables.iter().copied());
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
