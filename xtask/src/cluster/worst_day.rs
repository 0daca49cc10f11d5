//! The worst day: the machine is gone. There is a new one, with the program, the recovery words and the emergency card.

use nodekeep_testkit::Size;

use super::ceph::Ceph;
use super::stage::Stage;
use crate::error::Error;
use crate::place;

/// An empty home lists what is in the store and brings it back, by the words alone.
pub fn run(stage: &mut Stage<Ceph>) -> Result<String, Error> {
    let site = stage.site()?;
    let mut rng = stage.rng(8);
    let web = site.writer("web")?;
    let mail = site.writer("mail")?;
    let mut kept = Vec::new();
    for machine in [&web, &mail] {
        machine.grow(&mut rng, Size::FULL)?;
        kept.push((machine.name().to_owned(), machine.backup()?, machine.tree()?));
    }
    let words = place::read(&site.words())?;
    let new = site.stranger("new")?;
    let words_file = new.path("typed-words");
    std::fs::write(&words_file, words.trim()).map_err(Error::file(&words_file))?;
    let variables =
        [("NODEKEEP_WORDS_FILE", &*words_file.to_string_lossy())].map(|(n, v)| (n, v.to_owned()));
    let variables: Vec<(&str, &str)> = variables.iter().map(|(n, v)| (*n, v.as_str())).collect();

    let listed = new.run_with(&variables, &["restore", "--repo", site.repo()])?;
    let said = format!("{}{}", listed.stdout, listed.stderr);
    for (name, id, _) in &kept {
        if !said.contains(name.as_str()) || !said.contains(&id[..8]) {
            return Err(Error::Broken(format!("{name} {id} is not listed: {}", listed.told())));
        }
    }
    for (_, id, tree) in &kept {
        let target = new.path("restored");
        let words = ["restore", id, "--repo", site.repo(), "--target", &target.to_string_lossy()];
        new.run_with(&variables, &words)?.ok()?;
        new.compare(id, &target, tree)?;
    }
    Ok(format!("{} machines listed and restored by the words alone", kept.len()))
}
