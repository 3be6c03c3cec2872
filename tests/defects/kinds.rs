//! Each kind of defect on the parser's sample, which has an instruction for every kind.

use std::collections::BTreeSet;

use qwarp::emu::ptx::{Module, parse};

use crate::defects::{self, MUTATORS};

const SAMPLE: &str = include_str!("../data/ptx/sample_sm80.ptx");

/// What the sample has not.
const MORE: &str = "
.version 7.4
.target sm_80
.address_size 64
.visible .entry more(.param .u64 p)
{
    .reg .b32 %r<9>;
    .reg .f32 %f<4>;
    .reg .b64 %rd<4>;
    mov.u32 %r7, 16;
    cp.async.cg.shared.global [%r1], [%rd1], 16, %r2;
    cp.async.cg.shared.global [%r1], [%rd1], 16, %r7;
    bar.warp.sync -1;
    min.u32 %r3, %r4, %r5;
    max.f32 %f1, %f2, %f3;
    ret;
}
";

/// Kind, kernel, and one change that it makes there.
const CHANGES: [(&str, &str, &str, &str); 34] = [
    ("drop-barrier", "reduce", "bar.sync 0", ""),
    ("guard-barrier", "reduce", "bar.sync 0", "@%p8 bar.sync 0;"),
    ("drop-warp-barrier", "more", "bar.warp.sync -1", ""),
    ("drop-fence", "various", "membar.gl", ""),
    ("drop-async-wait", "product", "cp.async.wait_group 0", ""),
    ("drop-async-commit", "product", "cp.async.commit_group", ""),
    (
        "wait-for-fewer",
        "product",
        "cp.async.wait_group 0",
        "cp.async.wait_group 1;",
    ),
    (
        "drop-zero-fill",
        "more",
        "cp.async.cg.shared.global [%r1], [%rd1], 16, %r2",
        "cp.async.cg.shared.global [%r1], [%rd1], 16;",
    ),
    (
        "drop-copy",
        "product",
        "@p cp.async.cg.shared.global.L2::128B [%r9], [%rd1], 16",
        "",
    ),
    (
        "swap-left",
        "product",
        PRODUCT,
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1,%f2,%f3,%f4}, {%r5, %r7, %r6, %r8}, {%r5,%r6}, {%f1,%f2,%f3,%f4};",
    ),
    (
        "swap-right",
        "product",
        PRODUCT,
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1,%f2,%f3,%f4}, {%r5,%r6,%r7,%r8}, {%r6, %r5}, {%f1,%f2,%f3,%f4};",
    ),
    ("drop-product", "product", PRODUCT, ""),
    (
        "swap-matrices",
        "product",
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r5,%r6,%r7,%r8}, [%r9]",
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r5, %r7, %r6, %r8}, [%r9];",
    ),
    (
        "transpose",
        "product",
        "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r5,%r6,%r7,%r8}, [%r9]",
        "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%r5,%r6,%r7,%r8}, [%r9];",
    ),
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
        "repeat-operand",
        "reduce",
        "add.f32 %f12, %f44, %f11",
        "add.f32 %f12, %f44, %f44;",
    ),
    (
        "drop-term",
        "reduce",
        "and.b32 %r23, %r1, 31",
        "mov.b32 %r23, %r1;",
    ),
    (
        "drop-factor",
        "reduce",
        "mul.f32 %f21, %f36, %f37",
        "mov.b32 %f21, %f36;",
    ),
    (
        "drop-clamp",
        "more",
        "min.u32 %r3, %r4, %r5",
        "mov.b32 %r3, %r4;",
    ),
    (
        "other-extreme",
        "more",
        "max.f32 %f1, %f2, %f3",
        "min.f32 %f1, %f2, %f3;",
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

const PRODUCT: &str = "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1,%f2,%f3,%f4}, {%r5,%r6,%r7,%r8}, {%r5,%r6}, {%f1,%f2,%f3,%f4}";

#[test]
fn every_kind_makes_its_change() {
    let mut mutants = defects::all(SAMPLE);
    mutants.extend(defects::all(MORE));
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

#[test]
fn a_copy_of_all_its_bytes_has_no_zeros_to_drop() {
    let mutants = defects::all(MORE);
    let dropped = mutants.iter().filter(|m| m.mutator == "drop-zero-fill");
    let copies: Vec<&str> = dropped.map(|m| m.before.as_str()).collect();
    assert_eq!(copies, ["cp.async.cg.shared.global [%r1], [%rd1], 16, %r2"]);
}

#[test]
fn kernels_of_one_text_get_different_defects_and_other_kernels_change_none() {
    let twin = MORE.replace("entry more", "entry twin");
    let lines = "    add.s32 %r3, %r4, %r5;\n".repeat(40);
    let wide = |text: &str| text.replace("    ret;\n", &format!("{lines}    ret;\n"));
    let (more, twin) = (wide(MORE), wide(&twin));
    let places = |text: &str, kernel: &str| -> Vec<usize> {
        let chosen = defects::spread(defects::all(text), 1).into_iter();
        let of = chosen.filter(|m| m.kernel == kernel && m.mutator == "drop-term");
        of.map(|m| m.index).collect()
    };
    let alone = places(&more, "more");
    assert_ne!(alone, places(&twin, "twin"));
    let entry = twin.find(".visible").unwrap();
    let both = more.clone() + &twin[entry..];
    assert_eq!(alone, places(&both, "more"));
}

#[test]
fn kernels_that_are_left_out_keep_their_lines() {
    let named = BTreeSet::from(["product"]);
    let text = defects::of_kernels(SAMPLE, &named);
    assert_eq!(text.lines().count(), SAMPLE.lines().count());
    let module = parse(&text).unwrap();
    let names: Vec<&str> = module.entries.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["product"]);
    let whole = parse(SAMPLE).unwrap();
    let product = whole.entries.iter().find(|e| e.name == "product").unwrap();
    assert_eq!(module.entries[0].body, product.body);
}
