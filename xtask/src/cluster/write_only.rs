//! A node under the policy of docs/write-only.md, first honest and then in the hands of someone else.

use nodekeep_testkit::{Size, Tree, edit};
use serde_json::Value;

use super::ceph::Ceph;
use super::machine::{Machine, text_of};
use super::s3::{Request, S3, elements};
use super::stage::{Site, Stage};
use crate::error::Error;
use crate::place;

/// A node, its user of the store, and its id in the roster.
struct Node {
    machine: Machine,
    user: S3,
    id: String,
}

impl Node {
    /// Whether the policy lets it create this object.
    fn made(&self, name: &str) -> bool {
        name.contains(&format!("repo/w/{}/", self.id)) || name.contains(&format!("/{}.", self.id))
    }
}

/// In a bucket with versions, where what is overwritten is still there.
pub fn versioned(stage: &mut Stage<Ceph>) -> Result<String, Error> {
    let site = stage.versioned_site()?;
    let (node, kept, refused) = serve_and_attack(stage, &site)?;
    let overwritten = overwrite(stage, &site, &node)?;
    for (id, tree) in &kept {
        site.owner.must_restore(id, tree)?;
    }
    let said = go_on(&site, &node, kept)?;
    Ok(format!(
        "{said}; {refused} forbidden requests got 403; {overwritten} own objects overwritten, and nothing lost"
    ))
}

/// In a bucket without versions, where a node can overwrite what it made itself: seen, named, and in a mirror still there.
pub fn plain(stage: &mut Stage<Ceph>) -> Result<String, Error> {
    let site = stage.site()?;
    let (node, kept, refused) = serve_and_attack(stage, &site)?;
    let said = go_on(&site, &node, kept)?;
    let overwritten = overwrite(stage, &site, &node)?;
    let ran = site.owner.run(&["check", "--data", "--json"])?;
    if ran.code != DAMAGED || !ran.stdout.contains(&format!("w/{}/", node.id)) {
        return Err(Error::Broken(format!("overwritten packs are not named: {}", ran.told())));
    }
    Ok(format!(
        "{said}; {refused} forbidden requests got 403; {overwritten} own objects overwritten, which check names"
    ))
}

/// "Something in the repository is damaged", see docs/exit-codes.md.
const DAMAGED: i32 = 4;

/// Snapshots and what they hold.
type Kept = Vec<(String, Tree)>;

/// The node backs up, then it tries what it must not; how often it was refused.
fn serve_and_attack(stage: &Stage<Ceph>, site: &Site) -> Result<(Node, Kept, usize), Error> {
    let mut rng = stage.rng(5);
    let owner = &site.owner;
    owner.grow(&mut rng, Size::SMALL)?;
    let mut kept = vec![(owner.backup()?, owner.tree()?)];
    let node = enlist(stage, site)?;
    node.machine.grow(&mut rng, Size::SMALL)?;
    node.machine.add_file(&mut rng, "large", 5)?;
    for _ in 0..3 {
        kept.push((node.machine.backup()?, node.machine.tree()?));
        let data = node.machine.data();
        edit(&mut rng, &data, 4).map_err(Error::file(data))?;
    }
    let names = names(stage, site)?;
    let refused = attack(stage, site, &node, &names)?;
    for (id, tree) in &kept {
        owner.must_restore(id, tree)?;
    }
    owner.must_check(&["--data"])?;
    Ok((node, kept, refused))
}

/// The owner prunes, and the node backs up once more.
fn go_on(site: &Site, node: &Node, mut kept: Kept) -> Result<String, Error> {
    let owner = &site.owner;
    owner.run(&["snapshot", "prune", "--keep-last", "1", "--max-unused", "0"])?.ok()?;
    kept.push((node.machine.backup()?, node.machine.tree()?));
    let last = kept.len() - 1;
    for (id, tree) in [&kept[0], &kept[last - 1], &kept[last]] {
        owner.must_restore(id, tree)?;
    }
    owner.must_check(&["--data"])?;
    Ok(format!("{last} backups by the node, before and after the owner's prune"))
}

/// Overwrites everything that the node made, as the policy cannot forbid.
fn overwrite(stage: &Stage<Ceph>, site: &Site, node: &Node) -> Result<usize, Error> {
    let mut count = 0;
    for name in names(stage, site)?.iter().filter(|name| node.made(name)) {
        let path = format!("{}/{name}", site.bucket);
        node.user.must(Request {
            method: "PUT",
            path: &path,
            body: b"evil",
            ..Request::default()
        })?;
        count += 1;
    }
    Ok(count)
}

/// Makes a writer with a user of its own, and puts the policy in force.
fn enlist(stage: &Stage<Ceph>, site: &Site) -> Result<Node, Error> {
    let name = format!("node-of-{}", site.bucket);
    let user = stage.cluster.create_user(&name)?;
    let machine = site.writer("node")?.as_user(&user);
    let members = site.owner.run(&["key", "list", "--json"])?.ok()?.json()?;
    let is_node = |member: &&Value| member["role"] == "writer" && member["label"] == "node";
    let member = members["members"].as_array().and_then(|members| members.iter().find(is_node));
    let id = member.and_then(|member| text_of(&member["id"]));
    let id = id.ok_or_else(|| Error::Broken("key list does not name the new writer".to_owned()))?;
    let policy = documented_policy()?
        .replace("BUCKET", &site.bucket)
        .replace("PREFIX", "repo")
        .replace("user/NODE", &format!("user/{name}"))
        .replace("user/OWNER", "user/owner")
        .replace("WRITER", &id);
    stage.owner.configure(&site.bucket, "policy", &policy)?;
    Ok(Node { machine, user, id })
}

/// The policy that users are told to use.
fn documented_policy() -> Result<String, Error> {
    let page = place::read(&place::root().join("docs/write-only.md"))?;
    let block = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next());
    let odd = || Error::Broken("docs/write-only.md holds no policy".to_owned());
    block.map(str::to_owned).ok_or_else(odd)
}

/// Every object of the repository.
fn names(stage: &Stage<Ceph>, site: &Site) -> Result<Vec<String>, Error> {
    let query = [("list-type", "2"), ("prefix", "repo/")];
    let request =
        Request { method: "GET", path: &site.bucket, query: &query, ..Request::default() };
    Ok(elements(&stage.owner.must(request)?.body, "Key"))
}

/// What a thief of the node's keys would try; how much of it was refused, which must be all.
fn attack(stage: &Stage<Ceph>, site: &Site, node: &Node, names: &[String]) -> Result<usize, Error> {
    let mut refused = 0;
    let mut forbid = |request: Request<'_>| -> Result<(), Error> {
        let status = node.user.send(request)?.status;
        refused += 1;
        if status == 403 {
            return Ok(());
        }
        let Request { method, path, query, .. } = request;
        Err(Error::Broken(format!("the node was not refused: {method} {path} {query:?}: {status}")))
    };
    for name in names {
        let path = format!("{}/{name}", site.bucket);
        let is_secret = ["/d/", "/t/", "repo/k/"].iter().any(|part| name.contains(part));
        if is_secret {
            forbid(Request { method: "GET", path: &path, ..Request::default() })?;
            let copied = [("x-amz-copy-source", path.as_str())];
            let copy = format!("{}/repo/w/{}/d/00/copy", site.bucket, node.id);
            forbid(Request { method: "PUT", path: &copy, headers: &copied, ..Request::default() })?;
        }
        if !node.made(name) {
            forbid(Request { method: "PUT", path: &path, body: b"evil", ..Request::default() })?;
        }
        forbid(Request { method: "DELETE", path: &path, ..Request::default() })?;
        let (acl, public) = ([("acl", "")], [("x-amz-acl", "public-read")]);
        let put = Request { method: "PUT", path: &path, query: &acl, ..Request::default() };
        forbid(Request { headers: &public, ..put })?;
    }
    for name in ["r/00000009", "c/00000009", "x/00000009.doomed", "k/new", "config2"] {
        let path = format!("{}/repo/{name}", site.bucket);
        forbid(Request { method: "PUT", path: &path, body: b"evil", ..Request::default() })?;
    }
    for query in [&[][..], &[("prefix", "other/")], &[("versions", "")]] {
        forbid(Request { method: "GET", path: &site.bucket, query, ..Request::default() })?;
    }
    for what in ["policy", "versioning", "lifecycle", "acl"] {
        let (query, path) = ([(what, "")], site.bucket.as_str());
        forbid(Request {
            method: "PUT",
            path,
            query: &query,
            body: b"<x/>",
            ..Request::default()
        })?;
    }
    forbid(Request { method: "DELETE", path: &site.bucket, ..Request::default() })?;
    let left = self::names(stage, site)?;
    let gone = names.iter().find(|name| !left.contains(name));
    match gone {
        None => Ok(refused),
        Some(name) => Err(Error::Broken(format!("{name} is gone"))),
    }
}
