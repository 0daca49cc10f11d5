//! `nodekeep node add`.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use clap::Args;
use nodekeep_nodes::node::{Node, Registration};
use nodekeep_nodes::profile::{self, Profile, builtin, usual_folders};
use serde_json::json;

use super::show;
use crate::error::{Error, Result};
use crate::nodes;
use crate::session::App;

/// Register a node under a name
#[derive(Debug, Args)]
#[command(after_help = "\
Role: none. Folders that are not named are taken where the profile says they usually lie.

Examples:
  nodekeep node add guts --profile guts
  nodekeep node add relay1 --profile relay --path data=/srv/relay/data
  nodekeep node add notes --profile directory --path data=/home/me/notes
  nodekeep node add mine --profile-file my-node.toml --path data=/srv/mine --set api=http://127.0.0.1:9000")]
pub struct Add {
    /// The name: letters, digits, - _ .
    name: String,
    /// The kind of node: `nodekeep node profiles` lists them
    #[arg(long, value_name = "NAME", required_unless_present = "profile_file")]
    profile: Option<String>,
    /// A profile of your own
    #[arg(long, value_name = "FILE", conflicts_with = "profile")]
    profile_file: Option<PathBuf>,
    /// Where a folder of the node lies; DIR alone means the main one
    #[arg(long, value_name = "NAME=DIR")]
    path: Vec<String>,
    /// A value that the profile asks for
    #[arg(long, value_name = "NAME=VALUE", value_parser = crate::commands::backup::parse_tag)]
    set: Vec<(String, String)>,
    /// The shell line that deploys a new version of it: `nodekeep deploy NAME` runs it
    #[arg(long, value_name = "LINE")]
    deploy: Option<String>,
}

impl Add {
    pub fn run(&self, app: &App) -> Result<()> {
        let profile = self.read_profile()?;
        let given = self.folders(&profile)?;
        let home = env::var_os("HOME").map(PathBuf::from);
        let registration = Registration {
            name: self.name.clone(),
            profile: profile.name.clone(),
            paths: usual_folders(&profile, &given, home.as_deref()),
            values: self.set.iter().cloned().collect(),
            deploy: self.deploy.clone(),
        };
        let node = Node::new(registration, profile)?;
        node.check_values()?;
        node.components()?;
        nodes::state(app).add(&node)?;
        app.output.say(format!("Registered the node {}.\n", node.name()))?;
        app.output.say(show::text(&node)?)?;
        for (name, path) in node.registration.paths.iter().filter(|(_, path)| !path.exists()) {
            let path = path.display();
            app.output.alert(format!(
                "\nThe folder `{name}` is not there: {path}. If it lies elsewhere: nodekeep node remove {} --yes, then add it with --path {name}=DIR",
                node.name()
            ));
        }
        app.output.say(format!("\nBack it up: nodekeep backup {}", node.name()))?;
        app.output.document(&json!({ "node": show::document(&node)? }))
    }

    fn read_profile(&self) -> Result<Profile> {
        // A name has no slash: `--profile ./mine.toml` is a file.
        let named = self.profile.as_deref().unwrap_or_default();
        let file = named.contains('/').then(|| PathBuf::from(named));
        match self.profile_file.clone().or(file) {
            Some(path) => {
                let path = &path;
                let text = std::fs::read_to_string(path).map_err(Error::file(path, "read"))?;
                Ok(profile::parse(&text, &path.display().to_string())?)
            }
            None => Ok(builtin::find(named)?),
        }
    }

    fn folders(&self, profile: &Profile) -> Result<BTreeMap<String, PathBuf>> {
        let main = profile.roots.first().map_or("", |root| root.name.as_str());
        let folder = |text: &String| {
            let (name, path) = text.split_once('=').unwrap_or((main, text));
            let absolute =
                std::path::absolute(path).map_err(Error::file(Path::new(path), "find"))?;
            Ok((name.to_owned(), absolute))
        };
        self.path.iter().map(folder).collect()
    }
}
