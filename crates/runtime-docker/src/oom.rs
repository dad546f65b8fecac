//! The kernel's log on kills for want of memory. It names the container's cgroup before the process dies, whereas the
//! engine's event comes from a watch on that cgroup: late on a busy machine, and never if the cgroup is gone first. The
//! log in turn has ten kills in five seconds at most, and only root may read it; so each makes up for the other.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

use nix::fcntl::OFlag;

/// Longest record.
const RECORD: usize = 8_192;

/// The number of the newest record on a kill in this container; 0 when there is none or the log cannot be read.
pub(crate) async fn newest(container: &str) -> u64 {
    let id = container.to_owned();
    tokio::task::spawn_blocking(move || search(&id)).await.unwrap_or(0)
}

fn search(id: &str) -> u64 {
    let mut options = OpenOptions::new();
    let log = options.read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open("/dev/kmsg");
    let Ok(mut log) = log else { return 0 };
    let (mut buffer, mut newest) = (vec![0; RECORD], 0);
    loop {
        // One record each time.
        match log.read(&mut buffer) {
            Ok(0) => return newest,
            Ok(length) => {
                let record = String::from_utf8_lossy(&buffer[..length]);
                newest = number_of_kill(&record, id).unwrap_or(newest);
            }
            // Overwritten while it was read, or interrupted: goes on with the next one.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => {}
            Err(_) => return newest,
        }
    }
}

/// The number of a record, if it is one on a kill within the limit of this container's cgroup.
fn number_of_kill(record: &str, id: &str) -> Option<u64> {
    let (head, text) = record.split_once(';')?;
    let cgroup =
        text.strip_prefix("oom-kill:")?.split(',').find_map(|part| part.strip_prefix("oom_memcg="))?;
    if !cgroup.contains(id) {
        return None;
    }
    head.split(',').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_container_whose_limit_it_was() {
        let record = |limit: &str, task: &str| {
            format!(
                "6,812,1294663696,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset={task},\
                 mems_allowed=0,oom_memcg={limit},task_memcg={task},task=dd,pid=16739,uid=0\n"
            )
        };
        assert_eq!(number_of_kill(&record("/docker/abc", "/docker/abc"), "abc"), Some(812));
        assert_eq!(number_of_kill(&record("/system.slice/docker-abc.scope/x", "/y"), "abc"), Some(812));
        // Another limit's kill, or the node's own.
        assert_eq!(number_of_kill(&record("/docker/def", "/docker/abc"), "abc"), None);
        let global = "6,1,2,-;oom-kill:constraint=CONSTRAINT_NONE,global_oom,task_memcg=/docker/abc,task=dd";
        assert_eq!(number_of_kill(global, "abc"), None);
        assert_eq!(number_of_kill("6,1,2,-;abc oom_memcg=abc", "abc"), None);
        assert_eq!(number_of_kill("", "abc"), None);
    }
}
