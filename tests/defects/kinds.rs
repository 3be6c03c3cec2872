//! Each kind of defect on the parser's sample, which has an instruction for every kind.

use std::collections::BTreeSet;

use qwarp::emu::ptx::{Module, parse};

use crate::defects::{self, MUTATORS};

const SAMPLE: &str = include_str!("../data/ptx/sample_sm80.ptx");

/// Kind, kernel, and one change that it makes there.
const CHANGES: [(&str, &str, &str, &str); 20] = [
    ("drop-barrier", "reduce", "bar.sync 0", ""),
    ("guard-barrier", "reduce", "bar.sync 0", "@%p8 bar.sync 0;"),
    ("drop-fence", "various", "membar.gl", ""),
    ("drop-async-wait", "product", "cp.async.wait_group 0", ""),
    ("drop-async-commit", "product", "cp.async.commit_group", ""),
    (
        "shift-bound",
        "various",
        "setp.ne.s32 %p3, %r85, 6",
        "setp.ne.s32 %p3, %r85, 7;",
    ),
    (
        "flip-bound",
        "reduce",
        "setp.lt.u32 %p2, %r51, %r5",
        "setp.le.u32 %p2, %r51, %r5;",
    ),
    (
        "shuffle-distance",
        "reduce",
        "shfl.sync.bfly.b32 %r10|%p3, %r6, %r8, %r7, %r9",
        "shfl.sync.bfly.b32 %r10|%p3, %r6, 8, %r7, %r9;",
    ),
    (
        "shuffle-members",
        "reduce",
        "shfl.sync.bfly.b32 %r10|%p3, %r6, %r8, %r7, %r9",
        "shfl.sync.bfly.b32 %r10|%p3, %r6, %r8, %r7, 2147483647;",
    ),
    ("drop-store", "reduce", "st.shared.f32 [%r27], %f4", ""),
    ("drop-mov", "reduce", "mov.u32 %r7, 31", ""),
    (
        "address-up",
        "various",
        "st.local.u32 [%rd25+24], %rd75",
        "st.local.u32 [%rd25+28], %rd75;",
    ),
    (
        "address-down",
        "reduce",
        "ld.shared.f32 %f45, [%r32]",
        "ld.shared.f32 %f45, [%r32+-4];",
    ),
    (
        "wrong-thread",
        "reduce",
        "mov.u32 %r1, %tid.x",
        "mov.u32 %r1, %laneid;",
    ),
    (
        "wrong-cta",
        "various",
        "mov.u32 %r21, %ctaid.x",
        "mov.u32 %r21, %ctaid.y;",
    ),
    (
        "swap-operands",
        "reduce",
        "fma.rn.f32 %f44, %f10, %f10, %f44",
        "fma.rn.f32 %f44, %f10, %f44, %f10;",
    ),
    (
        "change-constant",
        "various",
        "mul.f32 %f7, %f1, 0f3F22F983",
        "mul.f32 %f7, %f1, 0fBF22F983;",
    ),
    (
        "drop-guard",
        "product",
        "@p cp.async.cg.shared.global.L2::128B [%r9], [%rd1], 16",
        "cp.async.cg.shared.global.L2::128B [%r9], [%rd1], 16;",
    ),
    (
        "branch-always",
        "reduce",
        "@%p1 bra $L__BB0_3",
        "bra $L__BB0_3;",
    ),
    (
        "branch-inverted",
        "reduce",
        "@%p1 bra $L__BB0_3",
        "@!%p1 bra $L__BB0_3;",
    ),
];

#[test]
fn every_kind_makes_its_change() {
    let mutants = defects::all(SAMPLE);
    for (mutator, kernel, before, after) in CHANGES {
        let made = mutants.iter().any(|m| {
            m.mutator == mutator && m.kernel == kernel && m.before == before && m.after == after
        });
        let made_here: Vec<_> = mutants.iter().filter(|m| m.mutator == mutator).collect();
        assert!(
            made,
            "{mutator}: `{before}` -> `{after}` is not among {made_here:?}"
        );
    }
    let tested: BTreeSet<&str> = CHANGES.iter().map(|change| change.0).collect();
    let kinds: BTreeSet<&str> = MUTATORS.iter().map(|(name, _)| *name).collect();
    assert_eq!(tested, kinds);
}

#[test]
fn a_defect_changes_one_instruction_and_no_line_number() {
    let instructions = |module: &Module| -> BTreeSet<(u32, String)> {
        let body = module.entries.iter().flat_map(|entry| &entry.body);
        body.map(|i| (i.line, i.text.clone())).collect()
    };
    let clean = instructions(&parse(SAMPLE).unwrap());
    let mutants = defects::all(SAMPLE);
    assert!(mutants.len() > 400, "{} mutants", mutants.len());
    for mutant in &mutants {
        let planted = parse(&mutant.plant(SAMPLE)).unwrap_or_else(|e| panic!("{mutant:?}: {e}"));
        let planted = instructions(&planted);
        let lost: Vec<_> = clean.difference(&planted).collect();
        let came: Vec<_> = planted.difference(&clean).collect();
        assert_eq!(lost, [&(mutant.line, mutant.before.clone())], "{mutant:?}");
        assert_eq!(
            came.len(),
            usize::from(!mutant.after.is_empty()),
            "{mutant:?}"
        );
        assert!(came.iter().all(|i| i.0 == mutant.line), "{mutant:?}");
    }
}

#[test]
fn a_spread_takes_from_every_group_and_is_the_same_each_time() {
    let all = defects::all(SAMPLE);
    let group = |m: &defects::Mutant| (m.kernel.clone(), m.mutator);
    let groups: BTreeSet<_> = all.iter().map(group).collect();
    let chosen = defects::spread(all.clone(), 2);
    let chosen_groups: BTreeSet<_> = chosen.iter().map(group).collect();
    assert_eq!(chosen_groups, groups);
    assert!(chosen.len() > groups.len() && chosen.len() <= 2 * groups.len());
    let names: BTreeSet<_> = chosen.iter().map(defects::Mutant::name).collect();
    assert_eq!(names.len(), chosen.len());
    assert_eq!(chosen, defects::spread(all, 2));
}
