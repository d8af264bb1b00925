//! `openapi.yaml` says what the routes do.

use std::collections::BTreeSet;

use api_spec::{DutyType, OPENAPI_YAML, paths};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use saphyr::{LoadableYamlNode, Yaml};
use signer::backend::{NotReady, ReloadRefused, SignError};
use signer::router::served_paths;

use crate::support::{Answered, EPOCH, Fake, KEY, randao, server, server_on, sign_request};

pub(crate) fn document() -> Yaml<'static> {
    Yaml::load_from_str(OPENAPI_YAML).unwrap().remove(0)
}

pub(crate) fn keys(node: &Yaml<'_>) -> BTreeSet<String> {
    node.as_mapping().unwrap().keys().map(|key| key.as_str().unwrap().to_owned()).collect()
}

fn strings(node: &Yaml<'_>) -> Vec<String> {
    node.as_sequence().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Follows the `$ref` of a node, if it has one.
pub(crate) fn resolve<'a>(
    document: &'a Yaml<'static>,
    node: &'a Yaml<'static>,
) -> &'a Yaml<'static> {
    let Some(reference) = node.as_mapping_get("$ref") else { return node };
    let path = reference.as_str().unwrap().strip_prefix("#/").unwrap();
    path.split('/').fold(document, |node, name| &node[name])
}

#[tokio::test]
async fn the_document_is_served() {
    let answered = server(Fake::signing()).get(paths::OPENAPI).await;
    assert_eq!(answered.status, StatusCode::OK);
    assert_eq!(answered.content_type.as_deref(), Some("application/yaml"));
    assert_eq!(answered.body, OPENAPI_YAML);
    assert_eq!(document()["info"]["version"].as_str(), Some(env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn the_paths_served_are_those_documented_each_with_exactly_the_documented_methods() {
    let document = document();
    let known = served_paths().map(str::to_owned).collect();
    assert_eq!(keys(&document["paths"]), known);
    let server = server(Fake::signing());
    for path in served_paths() {
        let methods = keys(&document["paths"][path]);
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
            let request = Request::builder()
                .method(method.clone())
                .uri(path.replace("{identifier}", KEY))
                .header(header::HOST, "localhost")
                .body(Body::empty())
                .unwrap();
            let status = server.send(request).await.status;
            assert_ne!(status, StatusCode::NOT_FOUND, "{method} {path}");
            let allowed = status != StatusCode::METHOD_NOT_ALLOWED;
            let expected = methods.contains(&method.as_str().to_lowercase());
            assert_eq!(allowed, expected, "{method} {path}");
        }
    }
}

#[test]
fn every_type_is_documented_with_its_object_and_whether_it_needs_fork_info() {
    let schemas = &document()["components"]["schemas"];
    let types: Vec<&str> = names().map(|(name, _)| name).collect();
    assert_eq!(strings(&schemas["DutyType"]["enum"]), types);

    let properties = keys(&schemas["SignRequest"]["properties"]);
    let mut expected: BTreeSet<String> = DutyType::ALL
        .iter()
        .flat_map(|known| {
            std::iter::once(known.object_field()).chain(known.other_object_fields().iter().copied())
        })
        .map(str::to_owned)
        .collect();
    expected.extend(["type", "signingRoot", "fork_info", "proofs"].map(str::to_owned));
    assert_eq!(properties, expected);

    let without: Vec<&str> =
        names().filter(|(_, known)| !known.needs_fork_info()).map(|(name, _)| name).collect();
    let documented = &schemas["NeedsForkInfo"]["if"]["properties"]["type"]["enum"];
    assert_eq!(strings(documented), without);
}

/// The names that types have on the wire, the specified ones first.
fn names() -> impl Iterator<Item = (&'static str, DutyType)> {
    let specified = DutyType::ALL.iter().map(|known| (known.as_str(), *known));
    specified.chain(DutyType::OTHER_NAMES)
}

/// Their signing roots were computed with `@lodestar/types` 1.50.0. `BLOCK` is one of mainnet, for hoodi
/// had no phase 0; the others are of hoodi.
#[tokio::test]
async fn there_is_an_example_of_every_type_and_each_is_signed_with_its_stated_root() {
    let document = document();
    let body =
        &document["paths"][paths::SIGN]["post"]["requestBody"]["content"]["application/json"];
    let mut types = Vec::new();
    for example in body["examples"].as_mapping().unwrap().values() {
        let request = to_json(&example["value"]);
        let name = request["type"].as_str().unwrap().to_owned();
        let network = if name == "BLOCK" { "mainnet" } else { "hoodi" };
        let server = server_on(network, Fake::signing());
        let answered = server.sign(request.to_string()).await;
        assert_eq!(answered.status, StatusCode::OK, "{name}: {}", answered.body);
        let root = server.backend.asked.lock().unwrap().pop().unwrap().signing_root();
        assert_eq!(request["signingRoot"].as_str().unwrap(), root.to_string(), "{name}");
        types.push(name);
    }
    assert_eq!(types, names().map(|(name, _)| name).collect::<Vec<_>>());
}

/// A node of mappings, sequences, strings and truth values as JSON.
fn to_json(node: &Yaml<'_>) -> serde_json::Value {
    if let Some(mapping) = node.as_mapping() {
        let fields = mapping.iter();
        let fields = fields.map(|(key, value)| (key.as_str().unwrap().to_owned(), to_json(value)));
        return fields.collect::<serde_json::Map<_, _>>().into();
    }
    if let Some(items) = node.as_sequence() {
        return items.iter().map(to_json).collect();
    }
    match node.as_bool() {
        Some(truth) => truth.into(),
        None => node.as_str().unwrap().into(),
    }
}

#[test]
fn every_reference_leads_somewhere() {
    fn check(document: &Yaml<'static>, node: &Yaml<'static>) {
        assert!(!resolve(document, node).is_badvalue());
        if let Some(mapping) = node.as_mapping() {
            mapping.values().for_each(|value| check(document, value));
        }
        if let Some(items) = node.as_sequence() {
            items.iter().for_each(|item| check(document, item));
        }
    }
    let document = document();
    check(&document, &document);
}

/// Every status the sign route can answer, provoked, with both forms of the answer.
#[tokio::test(start_paused = true)]
async fn every_answer_to_a_signing_request_is_documented() {
    let document = document();
    let responses = &document["paths"][paths::SIGN]["post"]["responses"];
    let mut seen = BTreeSet::new();
    for accept in ["application/json", "text/plain"] {
        for answered in every_answer(accept).await {
            let status = answered.status.as_u16().to_string();
            let documented = resolve(&document, &responses[status.as_str()]);
            let content_type = answered.content_type.unwrap();
            let media = content_type.split(';').next().unwrap();
            assert!(
                keys(&documented["content"]).contains(media),
                "{status} as {media} is not documented"
            );
            seen.insert(status);
        }
    }
    assert_eq!(seen, keys(responses));
}

async fn every_answer(accept: &str) -> Vec<Answered> {
    let ask = async |backend: Fake, host: &str, body: Body, encoding: &str| {
        let request = sign_request(KEY)
            .header(header::ACCEPT, accept)
            .header(header::CONTENT_ENCODING, encoding);
        let mut request = request.body(body).unwrap();
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
        server(backend).send(request).await
    };
    let valid = || Body::from(randao(EPOCH).to_string());
    let silent = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let long = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![b' '; 1 << 20]));
    let mut answers = vec![
        ask(Fake::signing(), "localhost", valid(), "identity").await,
        ask(Fake::signing(), "localhost", Body::empty(), "identity").await,
        ask(Fake::signing(), "elsewhere", valid(), "identity").await,
        ask(Fake::signing(), "localhost", Body::from_stream(silent), "identity").await,
        ask(Fake::signing(), "localhost", Body::from_stream(long), "identity").await,
        ask(Fake::signing(), "localhost", valid(), "gzip").await,
    ];
    let refusals: [fn() -> SignError; 4] = [
        || SignError::UnknownKey { validator: KEY.parse().unwrap() },
        || SignError::Slashing(String::new()),
        || SignError::Timeout(String::new()),
        || SignError::Unavailable(String::new()),
    ];
    for refusal in refusals {
        answers.push(ask(Fake::refusing(refusal), "localhost", valid(), "identity").await);
    }
    answers
}

/// Every status the other routes can answer, provoked.
#[tokio::test]
async fn every_answer_of_the_other_routes_is_documented() {
    let document = document();
    let starting = || NotReady { reason: "start".to_owned() };
    let mut down = Fake::signing();
    down.health.slashing_database = Err("disk full".to_owned());
    down.keys = Err(starting());
    down.alive = Err("the node's task has ended".to_owned());
    down.high_watermark = Err(starting());
    down.reload = Err(ReloadRefused::Running);
    let fixed = Fake { reload: Err(ReloadRefused::Unsupported), ..Fake::signing() };
    let mut seen = BTreeSet::new();
    for backend in [Fake::signing(), down, fixed] {
        let server = server(backend);
        for path in served_paths().filter(|path| *path != paths::SIGN) {
            for method in keys(&document["paths"][path]) {
                for host in ["localhost", "elsewhere"] {
                    let request = Request::builder()
                        .method(method.to_uppercase().as_str())
                        .uri(path)
                        .header(header::HOST, host)
                        .body(Body::empty())
                        .unwrap();
                    let answered = server.send(request).await;
                    let status = answered.status.as_u16().to_string();
                    let responses = &document["paths"][path][method.as_str()]["responses"];
                    let documented = resolve(&document, &responses[status.as_str()]);
                    let content_type = answered.content_type.unwrap();
                    let media = content_type.split(';').next().unwrap();
                    assert!(
                        keys(&documented["content"]).contains(media),
                        "{method} {path}: {status} as {media}"
                    );
                    seen.insert((path.to_owned(), method.clone(), status));
                }
            }
        }
    }
    let answers = |path: &str| seen.iter().filter(|(seen, ..)| seen == path).count();
    assert_eq!(answers(paths::RELOAD), 6, "{seen:?}");
    assert_eq!(answers(paths::READYZ), 3, "{seen:?}");
}
