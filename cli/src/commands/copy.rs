//! `iono cp`: files and folders into and out of a service, as tar streams. What comes from the provider is unpacked
//! with suspicion: only below the destination, only files, folders and links that stay inside.

use std::io::{Read, Write};
use std::path::{Component, Path, PathBuf};

use futures::{StreamExt, TryStreamExt};
use iono_lease_api::FilePath;
use serde_json::json;
use tokio_util::io::{ReaderStream, StreamReader, SyncIoBridge};

use crate::args::lease::Cp;
use crate::context::Context;
use crate::error::{Context as _, Failure, Kind, Result};
use crate::output::Report;
use crate::remote::{Need, Remote, Remotely};

/// Bytes between the archiver and the connection.
const PIPE: usize = 256 << 10;
/// Most bytes that are taken from a provider in one copy: 1 TiB.
const LIMIT: u64 = 1 << 40;

/// One side of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Side {
    Local(PathBuf),
    Remote { lease: u64, service: String, path: String },
}

impl Side {
    /// `LEASE:SERVICE:/path`, or a local path.
    fn read(text: &str) -> Self {
        let mut parts = text.splitn(3, ':');
        if let (Some(lease), Some(service), Some(path)) = (parts.next(), parts.next(), parts.next())
            && let Ok(lease) = lease.parse()
            && path.starts_with('/')
        {
            return Self::Remote { lease, service: service.to_owned(), path: path.to_owned() };
        }
        Self::Local(PathBuf::from(text))
    }
}

pub(crate) async fn run(context: &Context, args: &Cp) -> Result<Report> {
    match (Side::read(&args.source), Side::read(&args.destination)) {
        (Side::Local(from), Side::Remote { lease, service, path }) => {
            send(context, &from, lease, service, &path).await
        }
        (Side::Remote { lease, service, path }, Side::Local(to)) => {
            fetch(context, lease, service, path, &to).await
        }
        _ => Err(Failure::new(Kind::Usage, "one side is here, the other LEASE:SERVICE:/absolute/path")
            .hint("iono cp model.bin 12:web:/data/")),
    }
}

async fn send(context: &Context, from: &Path, lease: u64, service: String, to: &str) -> Result<Report> {
    let meta =
        std::fs::metadata(from).or_fail(Kind::Usage, format_args!("cannot read {}", from.display()))?;
    let (folder, name) = target(from, to)?;
    let chain = context.chain().await?;
    let remote = Remote::open(context, &chain, lease, Need::Write).await?;
    let (reader, writer) = tokio::io::duplex(PIPE);
    let writer = SyncIoBridge::new(writer);
    let (source, inside, is_dir) = (from.to_owned(), name.clone(), meta.is_dir());
    let archive = tokio::task::spawn_blocking(move || pack(writer, &source, &inside, is_dir));
    let place = FilePath { service: service.clone(), replica: None, path: folder.clone() };
    let sent = remote.client.copy_in(remote.lease, &place, ReaderStream::new(reader)).await;
    let packed = archive.await.or_fail(Kind::Failed, "interrupted")?;
    // When reading here failed, the archive is cut off and the provider's words are about that.
    let bytes = match (packed, sent) {
        (Err(error), Err(sent)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            return Err(sent).or_remote("the provider did not take the files");
        }
        (Err(error), _) => {
            return Err(error).or_fail(Kind::Failed, format_args!("cannot read {}", from.display()));
        }
        (Ok(_), Err(sent)) => return Err(sent).or_remote("the provider did not take the files"),
        (Ok(bytes), Ok(())) => bytes,
    };
    let at = format!("{lease}:{service}:{}/{name}", folder.trim_end_matches('/'));
    Ok(Report::new(
        &json!({ "from": from, "to": at, "bytes": bytes }),
        format!("copied {bytes} bytes to {at}"),
    ))
}

/// The folder to unpack in and the name there: `/data/` keeps the source's name, `/data/x` calls it `x`.
fn target(from: &Path, to: &str) -> Result<(String, String)> {
    let (folder, name) = to.rsplit_once('/').unwrap_or(("", to));
    let folder = if folder.is_empty() { "/".to_owned() } else { folder.to_owned() };
    if !name.is_empty() {
        return Ok((folder, name.to_owned()));
    }
    // `.` and `..` have no name of their own.
    let full =
        std::fs::canonicalize(from).or_fail(Kind::Usage, format_args!("cannot read {}", from.display()))?;
    let name = full.file_name().and_then(|name| name.to_str());
    name.map(|name| (folder, name.to_owned())).ok_or_else(|| {
        Failure::new(Kind::Usage, format!("{} has no name to keep", from.display()))
            .hint("name the destination in full")
    })
}

/// Writes the archive and returns the size of its files.
fn pack(writer: impl Write, from: &Path, name: &str, is_dir: bool) -> std::io::Result<u64> {
    let mut archive = tar::Builder::new(writer);
    archive.follow_symlinks(false);
    if is_dir {
        archive.append_dir_all(name, from)?;
    } else {
        archive.append_file(name, &mut std::fs::File::open(from)?)?;
    }
    archive.into_inner()?.flush()?;
    size_of(from)
}

fn size_of(path: &Path) -> std::io::Result<u64> {
    let meta = std::fs::symlink_metadata(path)?;
    if !meta.is_dir() {
        return Ok(if meta.is_file() { meta.len() } else { 0 });
    }
    std::fs::read_dir(path)?.map(|entry| size_of(&entry?.path())).sum()
}

async fn fetch(context: &Context, lease: u64, service: String, path: String, to: &Path) -> Result<Report> {
    let chain = context.chain().await?;
    let remote = Remote::open(context, &chain, lease, Need::Write).await?;
    let place = FilePath { service: service.clone(), replica: None, path: path.clone() };
    let archive = remote
        .client
        .copy_out(remote.lease, &place)
        .await
        .or_remote("the provider did not give the files")?;
    let archive = archive.map_err(std::io::Error::other).boxed();
    let reader = SyncIoBridge::new(StreamReader::new(archive));
    let destination = Destination::of(to)?;
    let unpacked = tokio::task::spawn_blocking(move || unpack(reader.take(LIMIT), &destination)).await;
    let (bytes, skipped) =
        unpacked.or_fail(Kind::Failed, "interrupted")?.or_fail(Kind::Provider, "the copy failed")?;
    for name in &skipped {
        context.output.warn(&format!("left out {name}: it is a device or leads out of the folder"));
    }
    let from = format!("{lease}:{service}:{path}");
    let json = json!({ "from": from, "to": to, "bytes": bytes, "left_out": skipped });
    Ok(Report::new(&json, format!("copied {bytes} bytes to {}", to.display())))
}

/// Where files go: into a folder under their own name, or under another name.
struct Destination {
    folder: PathBuf,
    rename: Option<std::ffi::OsString>,
}

impl Destination {
    fn of(to: &Path) -> Result<Self> {
        let slash = to.as_os_str().to_string_lossy().ends_with('/');
        if to.is_dir() || slash {
            std::fs::create_dir_all(to)
                .or_fail(Kind::Usage, format_args!("cannot create {}", to.display()))?;
            return Ok(Self { folder: to.to_owned(), rename: None });
        }
        let name = to.file_name().map(std::ffi::OsStr::to_owned);
        let name =
            name.ok_or_else(|| Failure::new(Kind::Usage, format!("{} is no destination", to.display())))?;
        let folder =
            to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        if folder.is_dir() {
            Ok(Self { folder: folder.to_owned(), rename: Some(name) })
        } else {
            Err(Failure::new(Kind::Usage, format!("there is no folder {}", folder.display())))
        }
    }

    /// The place of an entry; `None` when it leads out of the folder.
    fn place(&self, entry: &Path) -> Option<PathBuf> {
        let mut parts = entry.components().filter(|part| *part != Component::CurDir);
        let plain = |part: Component<'_>| match part {
            Component::Normal(name) => Some(name.to_owned()),
            _ => None,
        };
        let first = plain(parts.next()?)?;
        let mut place = PathBuf::from(self.rename.clone().unwrap_or(first));
        for part in parts {
            place.push(plain(part)?);
        }
        Some(place)
    }
}

/// Unpacks files, folders and inward links; returns the bytes written and what was left out.
fn unpack(reader: impl Read, to: &Destination) -> std::io::Result<(u64, Vec<String>)> {
    let mut archive = tar::Archive::new(reader);
    let root = to.folder.canonicalize()?;
    let (mut bytes, mut skipped) = (0, Vec::new());
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let shown = name.display().to_string();
        let Some(place) = to.place(&name) else {
            skipped.push(shown);
            continue;
        };
        let full = root.join(&place);
        // A link that an earlier entry made must not carry a later one out of the folder.
        let inside = match full.parent() {
            Some(parent) => {
                std::fs::create_dir_all(parent)?;
                parent.canonicalize()?.starts_with(&root)
            }
            None => false,
        };
        let kind = entry.header().entry_type();
        if !inside {
            skipped.push(shown);
        } else if kind.is_dir() {
            std::fs::create_dir_all(&full)?;
        } else if kind.is_file() {
            if full.is_symlink() {
                std::fs::remove_file(&full)?;
            }
            let mut file = std::fs::File::create(&full)?;
            bytes += std::io::copy(&mut entry, &mut file)?;
            set_mode(&file, entry.header().mode().unwrap_or(0o644))?;
        } else if kind.is_symlink()
            && let Some(target) = entry.link_name()?
            && stays_inside(&place, &target)
        {
            let _ = std::fs::remove_file(&full);
            std::os::unix::fs::symlink(&target, &full)?;
        } else {
            skipped.push(shown);
        }
    }
    Ok((bytes, skipped))
}

/// Permission bits without set-user-id and the like.
fn set_mode(file: &std::fs::File, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(mode & 0o755 | 0o600))
}

/// Whether a relative link at `place` leads nowhere above the destination.
fn stays_inside(place: &Path, target: &Path) -> bool {
    let mut depth = place.components().count() as i64 - 1;
    for part in target.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::ParentDir => depth -= 1,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
        if depth < 0 {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_told_apart() {
        let remote = Side::Remote { lease: 12, service: "web".into(), path: "/data/x:y".into() };
        assert_eq!(Side::read("12:web:/data/x:y"), remote);
        assert_eq!(Side::read("a:b"), Side::Local("a:b".into()));
        assert_eq!(Side::read("12:web:relative"), Side::Local("12:web:relative".into()));
    }

    #[test]
    fn a_trailing_slash_keeps_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("model.bin");
        std::fs::write(&file, "x").unwrap();
        assert_eq!(target(&file, "/data/").unwrap(), ("/data".into(), "model.bin".into()));
        assert_eq!(target(&file, "/data/other").unwrap(), ("/data".into(), "other".into()));
        assert_eq!(target(&file, "/x").unwrap(), ("/".into(), "x".into()));
    }

    #[test]
    fn folders_go_there_and_back() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("tree");
        std::fs::create_dir_all(from.join("deep")).unwrap();
        std::fs::write(from.join("deep/file"), "hello").unwrap();
        std::os::unix::fs::symlink("deep/file", from.join("link")).unwrap();
        let mut archive = Vec::new();
        assert_eq!(pack(&mut archive, &from, "tree", true).unwrap(), 5);
        let to = Destination::of(&dir.path().join("copy")).unwrap();
        let (bytes, skipped) = unpack(archive.as_slice(), &to).unwrap();
        assert_eq!((bytes, skipped.len()), (5, 0));
        assert_eq!(std::fs::read_to_string(dir.path().join("copy/link")).unwrap(), "hello");
    }

    /// An archive of one entry with a name that the library itself would not write.
    fn hostile(name: &[u8], kind: tar::EntryType, link: &str) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(if kind.is_file() { 4 } else { 0 });
        header.set_mode(0o4777);
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, if kind.is_file() { &b"evil"[..] } else { &[] }).unwrap();
        builder.into_inner().unwrap()
    }

    #[test]
    fn nothing_gets_out_of_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let to = Destination::of(&inner).unwrap();
        for (name, kind, link) in [
            (&b"../evil"[..], tar::EntryType::Regular, ""),
            (b"/evil", tar::EntryType::Regular, ""),
            (b"a/../../evil", tar::EntryType::Regular, ""),
            (b"link", tar::EntryType::Symlink, "/etc/passwd"),
            (b"link", tar::EntryType::Symlink, "../evil"),
            (b"device", tar::EntryType::Char, ""),
            (b"hard", tar::EntryType::Link, "../evil"),
        ] {
            let (bytes, skipped) = unpack(hostile(name, kind, link).as_slice(), &to).unwrap();
            assert_eq!((bytes, skipped.len()), (0, 1), "{}", String::from_utf8_lossy(name));
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        // A link that is there already is not followed either.
        std::os::unix::fs::symlink(dir.path(), inner.join("out")).unwrap();
        let (_, skipped) = unpack(hostile(b"out/evil", tar::EntryType::Regular, "").as_slice(), &to).unwrap();
        assert_eq!(skipped.len(), 1);
        assert!(!dir.path().join("evil").exists());
    }

    #[test]
    fn foreign_modes_are_tamed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let to = Destination::of(&dir.path().join("mine")).unwrap();
        unpack(hostile(b"theirs", tar::EntryType::Regular, "").as_slice(), &to).unwrap();
        let mode = std::fs::metadata(dir.path().join("mine")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o755);
    }
}
