//! What tenants tried, and what refused it: every attempt names one layer, and what was observed must be that layer's own
//! words.

use std::fmt::Write as _;

/// What stands in an attempt's way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// The check of the manifest's text, which names line and column.
    ManifestCheck,
    /// The check of the canonical bytes that a stranger may send without `iono`.
    CanonicalForm,
    /// Pod Security admission.
    Admission,
    /// The namespace's ResourceQuota.
    Quota,
    /// The namespace's LimitRange.
    Bounds,
    /// Whoever keeps network policies: packets vanish.
    PolicyEnforcer,
    /// The pod has no token of a service account.
    NoToken,
    /// The API server or a kubelet, towards those without a certificate or token.
    NoIdentity,
    /// The kernel: a right that the container does not have.
    Kernel,
    /// The engine's mounts: what is the node's is read-only or masked.
    Mounts,
    /// The kubelet's limit of processes.
    ProcessLimit,
    /// The kubelet's limit of memory.
    MemoryLimit,
    /// The kubelet ends pods that write more than they may.
    Eviction,
}

/// What is observed when packets vanish and an allowed place is answered meanwhile.
pub(crate) const SILENCE: &str = "silence for 2 s, while an allowed place is answered";

impl Layer {
    /// Words of this layer and of no other, one of which must be observed.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::ManifestCheck => &[": error: "],
            Self::CanonicalForm => &["no canonical manifest: ", "cannot be a mount: "],
            Self::Admission => &["violates PodSecurity \"baseline"],
            Self::Quota => &["exceeded quota: lease"],
            Self::Bounds => &["usage per Container is"],
            Self::PolicyEnforcer => &[SILENCE],
            Self::NoToken => &["serviceaccount: No such file or directory"],
            Self::NoIdentity => &["(Unauthorized)", "is forbidden: User"],
            Self::Kernel => &["Operation not permitted", "ermission denied"],
            Self::Mounts => &["Read-only file system"],
            Self::ProcessLimit => &["can't fork"],
            Self::MemoryLimit => &["OutOfMemory"],
            Self::Eviction => &["DiskQuota"],
        }
    }
}

/// Something that a tenant tried.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// What it was after.
    what: &'static str,
    /// How it went about it.
    how: String,
    /// What refused it.
    refused_by: Layer,
    /// What was seen of the refusal.
    evidence: String,
}

/// All attempts of a test.
#[derive(Debug, Default)]
pub(crate) struct Attempts(Vec<Attempt>);

impl Attempts {
    /// Adds a refused attempt.
    ///
    /// # Panics
    /// When what was observed is not the word of the layer that should have refused it.
    pub(crate) fn refused(
        &mut self,
        what: &'static str,
        how: impl Into<String>,
        refused_by: Layer,
        evidence: impl Into<String>,
    ) {
        let attempt = Attempt { what, how: how.into(), refused_by, evidence: evidence.into() };
        let is_its_word = refused_by.words().iter().any(|word| attempt.evidence.contains(word));
        assert!(is_its_word, "not refused by {refused_by:?}: {attempt:#?}");
        self.0.push(attempt);
    }

    /// Prints the table.
    pub(crate) fn print(&self) {
        assert!(!self.0.is_empty(), "nothing was tried");
        let mut table = String::new();
        for Attempt { what, how, refused_by, evidence } in &self.0 {
            let line = evidence.split_whitespace().collect::<Vec<_>>().join(" ");
            let shown: String = line.chars().take(160).collect();
            let refused_by = format!("{refused_by:?}");
            writeln!(table, "{what:<44} | {refused_by:<14} | {how}\n{:<44} |   {shown}", "").unwrap();
        }
        eprintln!("{table}");
    }
}
