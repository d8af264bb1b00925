//! The agreement's state machine, step by step: what one node says when it is told something.
//!
//! Each test is a table of [`Step`]s. Values are letters, operators are numbers, times are milliseconds
//! after the slot's start, and effects are words (`scene::words`), so that a table reads like the
//! protocol.

mod blocks;
mod hostile;
mod late;
mod round0;
mod rounds;
mod scene;
mod split;

use self::scene::{Input, Scene};

/// One thing that happens to a node, and all that it does about it.
struct Step {
    /// Milliseconds after the slot's start.
    at: i64,
    /// What happens and what is to come of it.
    desc: &'static str,
    /// What the node is told.
    input: Input,
    /// What it does, in order.
    expect: &'static [&'static str],
}

/// Plays the steps to one instance.
fn play(scene: &Scene, steps: Vec<Step>) {
    let mut instance = scene.instance();
    for Step { at, desc, input, expect } in steps {
        let found = scene.tell(&mut instance, at, input);
        assert_eq!(found, expect, "at {at} ms: {desc}");
    }
}
