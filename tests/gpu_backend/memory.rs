//! Device memory: counted, and given back whatever happens.

use qwarp::backend::gpu::memory::Memory;
use qwarp::driver::Target;

use crate::failing::Failing;

#[test]
fn bytes_are_counted_and_given_back() {
    let (driver, seen) = Failing::new(Target::Sm80, None);
    let mut memory = Memory::new(driver);
    let first = memory.alloc(1000).unwrap();
    // A tensor without elements has an address of its own.
    let empty = memory.alloc(0).unwrap();
    let [head, tail] = [&[1.5f32, -2.0][..], &[3.25]].map(bytemuck::cast_slice);
    let third = memory.upload(&[head, &[], tail]).unwrap();
    assert!(first != empty && empty != third);
    assert_eq!(memory.bytes(), 1012);
    let sizes: Vec<usize> = seen.live.borrow().values().copied().collect();
    assert_eq!(sizes, [1000, 1, 12]);
    let mut bytes = [0; 12];
    memory.driver().copy_out(third, &mut bytes).unwrap();
    let values: &[f32] = bytemuck::cast_slice(&bytes);
    assert_eq!(values, [1.5, -2.0, 3.25]);
    drop(memory);
    assert!(seen.live.borrow().is_empty());
}

#[test]
fn what_fails_leaves_nothing_behind() {
    // Two allocations with a copy each: every one of the four fails in turn.
    for at in 0..4 {
        let (driver, seen) = Failing::new(Target::Sm80, Some(at));
        let mut memory = Memory::new(driver);
        let first = memory.upload(&[&[7; 20]]);
        let second = memory.upload(&[&[9; 24]]);
        assert_eq!((first.is_err(), second.is_err()), (at < 2, at >= 2));
        // The allocation stands where the copy into it failed.
        let held = [24, 44, 20, 44][at];
        assert_eq!(memory.bytes(), held);
        let live: usize = seen.live.borrow().values().sum();
        assert_eq!(live as u64, held);
        drop(memory);
        assert!(seen.live.borrow().is_empty(), "call {at}");
    }
}

#[test]
fn more_than_the_device_has_is_refused() {
    let (driver, seen) = Failing::new(Target::Sm80, None);
    let mut memory = Memory::new(driver);
    memory.alloc(256).unwrap();
    let refused = memory.alloc(1 << 50).unwrap_err().to_string();
    assert!(
        refused.starts_with("out of device memory: 1125899906842624 bytes asked for"),
        "{refused}"
    );
    assert_eq!(memory.bytes(), 256);
    drop(memory);
    assert!(seen.live.borrow().is_empty());
}
