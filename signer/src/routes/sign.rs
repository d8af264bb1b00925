//! `POST /api/v1/eth2/sign/{identifier}`.

use std::fmt::Display;
use std::time::Duration;

use api_spec::{DutyType, SignAnswer, SignRequest};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use eth_types::duty::Duty;
use eth_types::network::Network;
use eth_types::{PublicKey, Signature};

use crate::accept::AnswerForm;
use crate::backend::SignError;
use crate::block_proof::BlockRule;
use crate::body::{self, WholeBody};
use crate::duty;
use crate::error::{ApiError, Refusal, TEXT, chain, json};
use crate::metrics::{RESULT_SIGNED, SignAttempt};
use crate::router::App;

/// Bodies above this are parsed and hashed on a thread of their own, so as not to hold up the small
/// ones.
const INLINE_BODY: usize = 64 * 1024;
/// Backends keep shorter deadlines of their own. This one is there so that a backend's fault does not
/// tie up connections: no client waits longer (Lighthouse 12 s).
const SIGN_TIMEOUT: Duration = Duration::from_secs(12);

/// Signs one duty: body -> [`SignRequest`] -> [`Duty`] -> backend -> answer.
pub(crate) async fn sign(
    State(app): State<App>,
    identifier: Result<Path<String>, PathRejection>,
    form: AnswerForm,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let body = body::read(&app.limits, &headers, body).await?;

    let mut attempt = app.metrics.sign_started();
    let outcome = sign_body(&app, identifier, body, &mut attempt).await;
    attempt.end(match &outcome {
        Ok(_) => RESULT_SIGNED,
        Err(error) => error.refusal().status_and_reason().1,
    });

    outcome.map(|signature| answer(signature, form))
}

async fn sign_body(
    app: &App,
    identifier: Result<Path<String>, PathRejection>,
    body: WholeBody,
    attempt: &mut SignAttempt,
) -> Result<Signature, ApiError> {
    let validator = parse_identifier(identifier)?;
    attempt.validator = Some(validator);
    let rule = app.backend.block_rule(&validator);
    let parsed = parse(app, body, rule).await;
    attempt.duty = parsed.duty_type;
    let signed = match (parsed.duty, parsed.duty_type) {
        (Ok(duty), Some(duty_type)) => call_backend(app, validator, duty_type, duty).await,
        (Ok(_), None) => Err(Refusal::Internal("a duty without a type".to_owned())),
        (Err(refusal), _) => Err(refusal),
    };
    signed.map_err(|refusal| {
        let error = ApiError::from(refusal).with_validator(validator);
        match parsed.duty_type {
            Some(duty_type) => error.with_duty(duty_type),
            None => error,
        }
    })
}

async fn call_backend(
    app: &App,
    validator: PublicKey,
    duty_type: DutyType,
    duty: Duty,
) -> Result<Signature, Refusal> {
    let _admitted = app.limits.admit(duty_type).await?;
    let asked = asked(&duty, &app.network);
    match tokio::time::timeout(SIGN_TIMEOUT, app.backend.sign(validator, duty)).await {
        // The rule that was broken names what it compared; the rest is told here, once for all rules.
        Ok(Err(SignError::Slashing(rule))) => {
            Err(SignError::Slashing(format!("{rule}; asked for {asked}")).into())
        }
        Ok(signed) => signed.map_err(Refusal::from),
        Err(_) => Err(Refusal::Stuck { seconds: SIGN_TIMEOUT.as_secs() }),
    }
}

/// Which message it is, for refusals.
fn asked(duty: &Duty, network: &Network) -> impl Display + use<> {
    let (slot, epoch, root) = (duty.slot(), duty.epoch(network), duty.signing_root());
    std::fmt::from_fn(move |f| {
        if let Some(slot) = slot {
            write!(f, "slot {slot}, ")?;
        }
        if let Some(epoch) = epoch {
            write!(f, "epoch {epoch}, ")?;
        }
        write!(f, "signing root {root}")
    })
}

fn answer(signature: Signature, form: AnswerForm) -> Response {
    match form {
        AnswerForm::Json => json(StatusCode::OK, &SignAnswer { signature }),
        AnswerForm::Text => ([(header::CONTENT_TYPE, TEXT)], signature.to_string()).into_response(),
    }
}

fn parse_identifier(identifier: Result<Path<String>, PathRejection>) -> Result<PublicKey, Refusal> {
    let Path(text) =
        identifier.map_err(|rejection| Refusal::Malformed(format!("identifier: {rejection}")))?;
    text.parse().map_err(|error| {
        Refusal::Malformed(format!("identifier is not a BLS public key: {}", chain(&error)))
    })
}

/// A body after parsing: its type as far as it could be read, and the duty or why there is none.
struct Parsed {
    duty_type: Option<DutyType>,
    duty: Result<Duty, Refusal>,
}

async fn parse(app: &App, body: WholeBody, rule: BlockRule) -> Parsed {
    if body.len() <= INLINE_BODY {
        return parse_now(&body, &app.network, &rule);
    }
    let place = app.limits.large_parse().await;
    let network = app.network.clone();
    // The place and the body's memory are the thread's: it goes on when the client is gone.
    let task = tokio::task::spawn_blocking(move || {
        let parsed = parse_now(&body, &network, &rule);
        drop((body, place));
        parsed
    });
    task.await.unwrap_or_else(|error| Parsed {
        duty_type: None,
        duty: Err(Refusal::Internal(format!("the parser failed: {error}"))),
    })
}

fn parse_now(body: &[u8], network: &Network, rule: &BlockRule) -> Parsed {
    let request = match SignRequest::from_json(body) {
        Ok(request) => request,
        Err(error) => {
            return Parsed {
                duty_type: error.duty_type(),
                duty: Err(Refusal::Malformed(error.to_string())),
            };
        }
    };
    Parsed { duty_type: Some(request.duty_type), duty: duty::from_request(request, network, rule) }
}
