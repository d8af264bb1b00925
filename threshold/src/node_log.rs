//! What a node logs of its cluster.

use std::time::Instant;

use threshold_protocol::engine::Report;

use crate::node::ClusterStatus;
use crate::throttle::Throttle;

/// Whether the cluster signs, when that changes.
pub(crate) fn quorum(had_quorum: bool, status: &ClusterStatus) {
    let (operators, needed) = (status.connected.len() + 1, status.quorum.threshold());
    match (had_quorum, status.has_quorum()) {
        (false, true) => {
            tracing::info!(operators, needed, "enough operators are connected: the cluster signs");
        }
        (true, false) => {
            tracing::error!(
                operators,
                needed,
                "too few operators are connected: nothing is signed"
            );
        }
        (true, true) | (false, false) => {}
    }
}

/// What the engine reports. Lines that a peer can cause are throttled.
pub(crate) fn report(report: &Report, throttle: &mut Throttle) {
    let caused_by = match report {
        Report::Lie(lie) => Some((lie.operator, "lie")),
        Report::BadPartial { operator, .. } => Some((*operator, "bad partial")),
        Report::RefusedPeer { operator, .. } => Some((*operator, "refused")),
        _ => None,
    };
    let unlogged = match caused_by {
        Some((operator, kind)) => match throttle.admit(operator, kind, Instant::now()) {
            Some(unlogged) => unlogged,
            None => return,
        },
        None => 0,
    };
    match report {
        Report::Lie(lie) => tracing::error!(
            operator = %lie.operator,
            duty = %lie.key,
            first = %lie.first,
            second = %lie.second,
            unlogged,
            "an operator endorsed two messages for one duty: its endorsements no longer count"
        ),
        Report::BadPartial { operator, validator, root } => tracing::error!(
            %operator, %validator, %root, unlogged, "bad partial signature: evicted, the others go on"
        ),
        Report::RefusedPeer { operator, validator, reason } => {
            tracing::warn!(
                %operator, %validator, %reason, unlogged, "refused to co-sign for a peer"
            );
        }
        Report::RefusedOwn { validator, key, reason } => tracing::warn!(
            %validator, duty = %key, %reason, "this node does not sign what the cluster settled on"
        ),
        Report::Settled { key, root, round } => {
            tracing::debug!(duty = %key, %root, round, "settled");
        }
        Report::ClockSetBack { ahead } => tracing::error!(
            millis = ahead.as_millis(),
            "this machine's clock was ahead and has been set back; is it synchronised?"
        ),
        Report::Expired { key, progress } => {
            tracing::warn!(duty = %key, progress, "no agreement before the duty's deadline");
        }
    }
}
