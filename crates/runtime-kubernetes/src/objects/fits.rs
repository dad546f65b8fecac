//! What a manifest may say and Kubernetes has no way to do: refused before anything is made.

use iono_runtime::{RuntimeError, Service, VolumeKind};

/// A StatefulSet marks its pods with its own name, a dash and ten digits; a mark has at most 63 characters.
const LONGEST_STATEFUL: usize = 52;
/// Variables come from a Secret, whose keys are no longer.
const LONGEST_VARIABLE: usize = 253;

/// Refuses a service that cannot be on any cluster.
pub(super) fn check(service: &Service) -> Result<(), RuntimeError> {
    let name = &service.name;
    let refused =
        |why: String| Err(RuntimeError::Refused(format!("service `{name}` cannot be on Kubernetes: {why}")));
    if !service.ports.is_empty() && name.starts_with(|first: char| first.is_ascii_digit()) {
        return refused("the name of a service with ports begins with a letter; rename it".to_owned());
    }
    let persists = service.volumes.iter().any(|volume| volume.kind == VolumeKind::Persistent);
    if persists && name.len() > LONGEST_STATEFUL {
        return refused(format!(
            "the name of a service with a persistent volume has at most {LONGEST_STATEFUL} characters; rename it"
        ));
    }
    let is_odd =
        |name: &&String| name.as_str() == "." || name.starts_with("..") || name.len() > LONGEST_VARIABLE;
    if let Some(variable) = service.env.keys().find(is_odd) {
        return refused(format!(
            "an environment variable has at most {LONGEST_VARIABLE} characters, is not `.` and does not begin with `..`; \
             rename `{variable}`"
        ));
    }
    Ok(())
}
