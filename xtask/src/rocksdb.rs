//! `cargo xtask test-rocksdb`: live databases of the real RocksDB, copied without it. The suite is a package of its own in `suites/rocksdb`, so
//! that nothing else ever builds the library.
//!
//! Building RocksDB costs 18 minutes of one core. A library that is there already is linked instead: the one in `ROCKSDB_LIB_DIR`, or a compressed
//! one in `shared/tools/rocksdb` beside the checkout.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::args::Args;
use crate::error::Error;
use crate::place;

/// The library's file.
const LIBRARY: &str = "librocksdb.a";
/// Where libclang may lie: bindings are made with it.
const CLANG_FOLDERS: [&str; 4] =
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib"];

/// `cargo xtask test-rocksdb [--rounds N] [--seed N]`.
pub fn run(words: Vec<OsString>) -> Result<(), Error> {
    let mut args = Args::new(words);
    let rounds: u32 = args.value("--rounds", "a number of captures")?.unwrap_or(200);
    let seed: u64 = args.value("--seed", "a number")?.unwrap_or(1);
    args.finish()?;
    require_clang()?;
    let target = place::target().join("suite-rocksdb");
    let mut build = place::cargo();
    build.current_dir(place::root().join("suites/rocksdb")).args(["build", "--locked"]);
    build.env("CARGO_TARGET_DIR", &target);
    if std::env::var_os("BINDGEN_EXTRA_CLANG_ARGS").is_none() {
        build.env("BINDGEN_EXTRA_CLANG_ARGS", include_arguments()?);
    }
    match library(&target)? {
        Some(folder) => {
            println!("linking {}", folder.join(LIBRARY).display());
            build.env("ROCKSDB_LIB_DIR", folder).env("ROCKSDB_STATIC", "1");
            build.env("RUSTFLAGS", "-C link-arg=-lstdc++");
        }
        None => println!("building RocksDB from source: this takes 18 minutes of one core, once"),
    }
    place::run(&mut build)?;
    let program = target.join("debug/nodekeep-suite-rocksdb");
    place::run(Command::new(program).args([rounds.to_string(), seed.to_string()]))
}

/// The folder of a library that is there already, unpacked if need be.
fn library(target: &Path) -> Result<Option<PathBuf>, Error> {
    if let Some(folder) = std::env::var_os("ROCKSDB_LIB_DIR").map(PathBuf::from) {
        return Ok(Some(folder));
    }
    let unpacked = target.join("library");
    if unpacked.join(LIBRARY).is_file() {
        return Ok(Some(unpacked));
    }
    let root = place::root();
    let shared = root.parent().unwrap_or(&root).join("shared/tools/rocksdb");
    let packed = if shared.is_dir() { place::files(&shared, &["zst"])? } else { Vec::new() };
    let (Some(packed), Some(zstd)) = (packed.first(), place::find_program("zstd", &[])) else {
        return Ok(None);
    };
    std::fs::create_dir_all(&unpacked).map_err(Error::file(&unpacked))?;
    // An interrupted run leaves no half library under the name that is looked for.
    let part = unpacked.join("part");
    place::run(Command::new(zstd).args(["-q", "-f", "-d"]).arg(packed).arg("-o").arg(&part))?;
    std::fs::rename(&part, unpacked.join(LIBRARY)).map_err(Error::file(&part))?;
    Ok(Some(unpacked))
}

fn require_clang() -> Result<(), Error> {
    let is_clang = |name: &str| name.starts_with("libclang-") || name.starts_with("libclang.so");
    let in_folder = |folder: &&str| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name())
            .any(|name| name.to_str().is_some_and(|name| is_clang(name) && !name.contains("cpp")))
    };
    if std::env::var_os("LIBCLANG_PATH").is_some() || CLANG_FOLDERS.iter().any(in_folder) {
        return Ok(());
    }
    Err(Error::Unfit {
        reason: "libclang, with which RocksDB's bindings are made, is not there".to_owned(),
        hint: "install it with `apt-get install libclang1-14`, or set LIBCLANG_PATH",
    })
}

/// The compiler's own headers, which libclang alone does not bring.
fn include_arguments() -> Result<String, Error> {
    let printed = place::output(Command::new("cc").arg("-print-file-name=include"))?;
    Ok(format!("-I{}", String::from_utf8_lossy(&printed).trim()))
}
