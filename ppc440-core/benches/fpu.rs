//! Nanoseconds per floating-point operation, FPSCR update included: ordinary operands, and denormal ones on the
//! careful path.

use criterion::{Criterion, criterion_group, criterion_main};
use ppc440_core::fpu::{self, Fpscr, Outcome};
use std::hint::black_box;

/// Operands of mixed exponents and signs, so that alignment and normalization vary from one call to the next.
fn operands() -> Vec<(u64, u64, u64)> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let exponent = 1023 - 8 + (state >> 8 & 15);
        (state & 0x800F_FFFF_FFFF_FFFF) | exponent << 52
    };
    (0..1024).map(|_| (next(), next(), next())).collect()
}

fn bench_over(
    c: &mut Criterion,
    name: &str,
    operands: &[(u64, u64, u64)],
    operation: impl Fn(Fpscr, u64, u64, u64) -> Outcome,
) {
    c.bench_function(name, |bencher| {
        let mut fpscr = Fpscr(0);
        let mut index = 0;
        bencher.iter(|| {
            let (a, b, c) = operands[index & 1023];
            index += 1;
            let outcome = operation(fpscr, black_box(a), black_box(b), black_box(c));
            fpscr = outcome.fpscr;
            outcome.result
        });
    });
}

fn benches(c: &mut Criterion) {
    let ordinary = operands();
    let denormal: Vec<_> = ordinary.iter().map(|&(a, b, c)| (a & 0x800F_FFFF_FFFF_FFFF, b, c)).collect();
    bench_over(c, "fadd", &ordinary, |f, a, b, _| fpu::fadd(f, a, b));
    bench_over(c, "fadds", &ordinary, |f, a, b, _| fpu::fadds(f, a, b));
    bench_over(c, "fmul", &ordinary, |f, a, b, _| fpu::fmul(f, a, b));
    bench_over(c, "fdiv", &ordinary, |f, a, b, _| fpu::fdiv(f, a, b));
    bench_over(c, "fmadd", &ordinary, fpu::fmadd);
    bench_over(c, "fnmsubs", &ordinary, fpu::fnmsubs);
    bench_over(c, "fsqrt", &ordinary, |f, a, _, _| fpu::fsqrt(f, a & u64::MAX >> 1));
    bench_over(c, "frsp", &ordinary, |f, a, _, _| fpu::frsp(f, a));
    bench_over(c, "fctiwz", &ordinary, |f, a, _, _| fpu::fctiwz(f, a));
    bench_over(c, "fres", &ordinary, |f, a, _, _| fpu::fres(f, a));
    bench_over(c, "frsqrte", &ordinary, |f, a, _, _| fpu::frsqrte(f, a & u64::MAX >> 1));
    bench_over(c, "fadd of a denormal", &denormal, |f, a, b, _| fpu::fadd(f, a, b));
    bench_over(c, "fmadd of a denormal", &denormal, fpu::fmadd);
}

criterion_group!(group, benches);
criterion_main!(group);
