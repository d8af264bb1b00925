//! Watermarks by command.

use tests::interchange::{entry, file};

use super::{Folder, assert_done, command, import, refusal, share_key, stranger};
use crate::support::cluster;

#[test]
fn watermarks_are_shown_raised_and_never_lowered() {
    let files = cluster().validators(2).create();
    let root = files.chain.network().genesis_validators_root();
    let (dir, folder) = (files.data_dir(0), Folder::new());
    let [first, second] = [files.keys[0], files.keys[1]];
    let data = [entry(&first, &[5, 9], &[(1, 2)]), entry(&second, &[], &[(3, 4)])];
    assert_done(&import(&dir, &folder.file("in.json", &file(root, &data))));
    let run = |args: &[&str]| {
        let args = ["watermark"].iter().chain(args);
        let finished = command(&dir, args);
        let said = format!("{}{}", finished.stdout, finished.stderr);
        let said = said.replace(&first.to_string(), "FIRST").replace(&second.to_string(), "SECOND");
        let kept = said.lines().filter(|line| !line.starts_with("No signer runs"));
        (finished.code, kept.collect::<Vec<_>>().join("\n"))
    };
    let shown = |args: &[&str]| {
        let (code, text) = run(args);
        assert_eq!(code, Some(0), "{text}");
        text
    };
    let told = |args: &[&str]| {
        let (code, text) = run(args);
        assert_eq!(code, Some(1), "{text}");
        text
    };

    let show = shown(&["show"]);
    let (identity, rest) = show.split_once('\n').unwrap();
    assert!(identity.starts_with("Network synod-test-0, genesis validators root 0x01"));
    insta::assert_snapshot!(rest, @r"
    High watermark (nothing at or above it): none
    Raised for all (no block or target at or below it, no source below it): none
    FIRST
      earliest known  slot 5, source 1, target 2
      raised to       none
      highest signed  slot 9, source 1, target 2
    SECOND
      earliest known  source 3, target 4
      raised to       none
      highest signed  source 3, target 4
    ");
    insta::assert_snapshot!(shown(&["raise", "--slot", "20", "--epoch", "6", "--source-epoch", "5", "--validator", &first.to_string()]), @"FIRST raised to slot 20, source 5, target 6");
    insta::assert_snapshot!(shown(&["raise", "--slot", "10", "--epoch", "7"]), @r"
    all validators (those to come included) raised to slot 10, source 7, target 7
    FIRST raised from slot 20, source 5, target 6 to slot 20, source 7, target 7
    SECOND raised to slot 10, source 7, target 7
    ");
    let share = share_key(&files, 0, 3).to_string();
    insta::assert_snapshot!(told(&["raise", "--slot", "19", "--epoch", "8", "--validator", &share]), @"FIRST refused: slot 19 is below 20, to which it was raised before; watermarks are never lowered");
    insta::assert_snapshot!(told(&["raise", "--epoch", "6"]), @"all validators (those to come included) refused: source epoch 6 is below 7, to which it was raised before; watermarks are never lowered");
    insta::assert_snapshot!(shown(&["raise", "--slot", "10"]), @r"
    all validators (those to come included) unchanged: slot 10, source 7, target 7
    FIRST unchanged: slot 20, source 7, target 7
    SECOND unchanged: slot 10, source 7, target 7
    ");
    let (code, text) = run(&["raise", "--slot", "30", "--validator", &stranger().to_string()]);
    assert_eq!(code, Some(1));
    assert!(text.contains("this key is of no validator of this cluster"), "{text}");
    let (code, text) = run(&["raise", "--slot", "9223372036854775808"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("is beyond 2^63 - 1"), "{text}");

    let (code, text) = run(&["show", "--validator", &share_key(&files, 0, 1).to_string()]);
    assert_eq!(code, Some(0));
    assert!(text.contains("FIRST") && !text.contains("Nothing is recorded"), "{text}");

    insta::assert_snapshot!(shown(&["high", "show"]), @"High watermark: none");
    insta::assert_snapshot!(told(&["high", "set", "--slot", "20"]), @"synod: slot watermarks: low 20 is not below high 20; nothing could be signed between them");
    insta::assert_snapshot!(shown(&["high", "set", "--slot", "21"]), @"High watermark: slot 21 (before: none)");
    insta::assert_snapshot!(shown(&["high", "set", "--epoch", "9"]), @"High watermark: slot 21, epoch 9 (before: slot 21)");
    insta::assert_snapshot!(told(&["raise", "--slot", "21"]), @"synod: slot watermarks: low 21 is not below high 21; nothing could be signed between them");
    insta::assert_snapshot!(shown(&["high", "clear"]), @"High watermark: none (before: slot 21, epoch 9)");
}

#[test]
fn a_validator_of_which_nothing_is_recorded_is_the_only_one_that_this_is_said_of() {
    let files = cluster().validators(2).create();
    let root = files.chain.network().genesis_validators_root();
    let (dir, folder) = (files.data_dir(0), Folder::new());
    let show = |args: &[&str]| {
        let finished = command(&dir, ["watermark", "show"].iter().chain(args));
        (finished.code, format!("{}{}", finished.stdout, finished.stderr))
    };
    assert_done(&import(&dir, &folder.file("none.json", &file(root, &[]))));
    let (code, text) = show(&[]);
    assert_eq!(code, Some(0));
    assert!(text.contains("Nothing is recorded of any validator."), "{text}");

    let data = [entry(&files.keys[0], &[5], &[])];
    assert_done(&import(&dir, &folder.file("in.json", &file(root, &data))));
    let unknown = files.keys[1].to_string();
    let (code, text) = show(&["--validator", &unknown]);
    assert_eq!(code, Some(1));
    assert!(text.contains(&format!("Nothing is recorded of {unknown}.")), "{text}");
    assert!(!text.contains("of any validator"), "{text}");
}

#[test]
fn web3signers_options_do_what_they_do_there() {
    let files = cluster().validators(1).create();
    let dir = files.data_dir(0);
    let network = files.chain.options(&files.dir().with_file_name("config.yaml"));
    let repair = |args: &[&str]| {
        let args = ["watermark-repair"].iter().chain(args).map(|arg| (*arg).to_owned());
        let finished = command(&dir, args.chain(network.clone()));
        assert_done(&finished);
        finished.stdout
    };
    insta::assert_snapshot!(repair(&["--slot=100", "--epoch=3"]), @"all validators (those to come included) raised to slot 100, source 3, target 3");
    insta::assert_snapshot!(repair(&["--slot=200", "--epoch=6", "--set-high-watermark=true"]), @"High watermark: slot 200, epoch 6 (before: none)");
    insta::assert_snapshot!(repair(&["--remove-high-watermark=true"]), @"High watermark: none (before: slot 200, epoch 6)");
    let finished = command(&dir, ["watermark-repair", "--slot", "100"]);
    assert_eq!(finished.code, Some(2), "{}", finished.stderr);
    assert!(refusal(&command(&dir, ["import", "--from", "none"])).contains("cannot read none"));
}
