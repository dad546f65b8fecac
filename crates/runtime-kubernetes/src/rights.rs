//! Whether this account may do what leases take: every rule of `deploy/kubernetes/rights.yaml` is asked for by itself
//! (SelfSubjectAccessReview), so that an owner learns which one is missing before a lease does.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use iono_runtime::{Right, RuntimeError};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::Client;
use kube::api::{Api, PostParams};
use serde::Deserialize;
use serde_json::Value;

use crate::cluster::ask;
use crate::inner::Inner;

const RIGHTS: &str = include_str!("../../../deploy/kubernetes/rights.yaml");
/// The namespace that the file gives to the provider; what it says of it holds for the configured one.
const WRITTEN: &str = "ionosphere";
/// Reviews under way at once.
const AT_ONCE: usize = 8;

/// One thing to do with one kind of object, everywhere or in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Needed {
    namespace: Option<String>,
    group: String,
    resource: String,
    subresource: Option<String>,
    name: Option<String>,
    verb: String,
}

impl Needed {
    fn words(&self) -> String {
        let subresource = self.subresource.as_ref().map(|part| format!("/{part}")).unwrap_or_default();
        let name = self.name.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        let place = self.namespace.as_ref().map(|space| format!(" in {space}")).unwrap_or_default();
        let group = if self.group.is_empty() { String::new() } else { format!(".{}", self.group) };
        format!("{} {}{group}{subresource}{name}{place}", self.verb, self.resource)
    }

    async fn is_granted(&self, client: Client) -> Result<bool, RuntimeError> {
        let attributes = ResourceAttributes {
            namespace: self.namespace.clone(),
            group: Some(self.group.clone()),
            resource: Some(self.resource.clone()),
            subresource: self.subresource.clone(),
            name: self.name.clone(),
            verb: Some(self.verb.clone()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(client);
        let answer = ask(reviews.create(&PostParams::default(), &review)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

impl Inner {
    /// Every right that leases take, and whether this account has it.
    pub(crate) async fn rights(&self) -> Result<Vec<Right>, RuntimeError> {
        let client = self.cluster.client().await?;
        let needed = stream::iter(needed(&self.config.namespace)?);
        let asked = needed.map(|needed| {
            let client = client.clone();
            async move {
                let granted = needed.is_granted(client).await?;
                Ok(Right { what: needed.words(), granted })
            }
        });
        asked.buffered(AT_ONCE).try_collect().await
    }
}

/// What the file grants, each thing by itself.
fn needed(namespace: &str) -> Result<BTreeSet<Needed>, RuntimeError> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(RIGHTS).map_err(|error| RuntimeError::Engine(error.to_string()))?;
    let roles = documents.iter().filter(|one| matches!(one["kind"].as_str(), Some("ClusterRole" | "Role")));
    let mut needed = BTreeSet::new();
    for role in roles {
        let space = role["metadata"]["namespace"].as_str();
        let space = space.map(|space| if space == WRITTEN { namespace } else { space });
        let rules = Vec::<PolicyRule>::deserialize(&role["rules"]);
        for rule in rules.map_err(|error| RuntimeError::Engine(error.to_string()))? {
            spread(&rule, space, &mut needed);
        }
    }
    Ok(needed)
}

fn spread(rule: &PolicyRule, namespace: Option<&str>, needed: &mut BTreeSet<Needed>) {
    let names: Vec<Option<String>> = match &rule.resource_names {
        Some(names) if !names.is_empty() => names.iter().cloned().map(Some).collect(),
        _ => vec![None],
    };
    for group in rule.api_groups.iter().flatten() {
        for resource in rule.resources.iter().flatten() {
            let (resource, subresource) = match resource.split_once('/') {
                Some((resource, part)) => (resource, Some(part.to_owned())),
                None => (resource.as_str(), None),
            };
            for verb in &rule.verbs {
                needed.extend(names.iter().map(|name| Needed {
                    namespace: namespace.map(str::to_owned),
                    group: group.clone(),
                    resource: resource.to_owned(),
                    subresource: subresource.clone(),
                    name: name.clone(),
                    verb: verb.clone(),
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_spread_into_single_rights() {
        let words: Vec<String> = needed("mine").unwrap().iter().map(Needed::words).collect();
        for expected in [
            "create namespaces",
            "create pods/exec",
            "deletecollection replicasets.apps",
            "watch secrets in mine",
            "get endpoints kubernetes in default",
        ] {
            assert!(words.iter().any(|word| word == expected), "{expected}: {words:?}");
        }
        assert!(!words.iter().any(|word| word == "get secrets"), "it reads its own secrets alone");
    }
}
