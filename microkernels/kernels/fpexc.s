#! summary: enabled floating-point exceptions: program interrupts, suppressed results, FE0 and FE1
#! checks: 72
        .include "lib.inc.s"

        .set    VE, 0x80
        .set    OE, 0x40
        .set    UE, 0x20
        .set    ZE, 0x10
        .set    XE, 0x08

        # fp NAME, FPSCR, MSR, VECTOR, ESR[FP], WANT HIGH WORD OF f4, WANT FPSCR, INSTRUCTION: f1 = 1.0, f2 = 0.0,
        # f3 = 1e300, f5 = a signalling NaN, f6 = 3.0; f4 = 0x12345678_00000000 before
        .macro  fp name, fpscr, msr, vector, high, want, insn:vararg
        load32  r4, MSR_FP
        mtmsr   r4
        isync
        lis     r4, constants@ha
        addi    r4, r4, constants@l
        mtfsfi  7, 0
        mtfsfi  6, 0
        load32  r5, \fpscr
        stw     r5, 60(r4)
        lfd     f0, 56(r4)
        mtfsf   0xFF, f0
        lfd     f1, 0(r4)
        lfd     f2, 8(r4)
        lfd     f3, 16(r4)
        lfd     f4, 24(r4)
        lfd     f5, 32(r4)
        lfd     f6, 40(r4)
        catch   fp_resume\@
        enter   \msr, fp_at\@
fp_at\@:
        \insn
fp_next\@:
        sc
fp_resume\@:
        load32  r4, MSR_FP
        mtmsr   r4
        isync
        mffs    f7
        mtfsfi  6, 0                    # no enabled exception is left when checks run
        mtfsfi  7, 0
        lis     r4, constants@ha
        addi    r4, r4, constants@l
        stfd    f4, 48(r4)
        stfd    f7, 56(r4)
        lwz     r20, 48(r4)
        lwz     r21, 60(r4)
        li      r4, 0
        mtmsr   r4
        .if     \vector == V_PROGRAM
        caught  \name, V_PROGRAM, srr0=fp_at\@, srr1=\msr
        lis     r14, exc@ha
        lwz     r14, exc@l + EXC_ESR(r14)
        rlwinm  r14, r14, 0, 4, 7       # which of the causes; the details of PCMP and PCRF are left open
        check   \name/esr, r14, ESR_FP
        .else
        caught  \name, \vector, srr0=fp_next\@ + 4
        .endif
        check   \name/result, r20, \high
        check   \name/fpscr, r21, \want
        .endm

main:   # Enabled and let in: the result of an invalid operation or of a division by zero is not written
        fp      zero-divide, ZE, MSR_FP | MSR_FE0 | MSR_FE1, V_PROGRAM, 0x12345678, 0xC4000010, fdiv f4, f1, f2
        fp      invalid, VE, MSR_FP | MSR_FE0 | MSR_FE1, V_PROGRAM, 0x12345678, 0xE1000080, fadd f4, f1, f5
        fp      invalid/zero-by-zero, VE, MSR_FP | MSR_FE0 | MSR_FE1, V_PROGRAM, 0x12345678, 0xE0200080, fdiv f4, f2, f2
        fp      invalid/convert, VE, MSR_FP | MSR_FE0 | MSR_FE1, V_PROGRAM, 0x12345678, 0xE0000180, fctiw f4, f3
        # The result of an inexact one is written
        fp      inexact, XE, MSR_FP | MSR_FE0 | MSR_FE1, V_PROGRAM, 0x3FD55555, 0xC2024008, fdiv f4, f1, f6
        # Overflow and underflow deliver a result with its exponent adjusted by 1536
        fp      overflow, OE, MSR_FP | MSR_FE0 | MSR_FE1, V_PROGRAM, 0x5C81D672, 0xD2064040, fmul f4, f3, f3
        # FE0 or FE1 alone are the imprecise modes, which the 440 treats as precise
        fp      fe0, ZE, MSR_FP | MSR_FE0, V_PROGRAM, 0x12345678, 0xC4000010, fdiv f4, f1, f2
        fp      fe1, ZE, MSR_FP | MSR_FE1, V_PROGRAM, 0x12345678, 0xC4000010, fdiv f4, f1, f2
        # Neither: FEX is set and nothing happens
        fp      ignored, ZE, MSR_FP, V_SC, 0x12345678, 0xC4000010, fdiv f4, f1, f2
        # Not enabled
        fp      disabled, 0, MSR_FP | MSR_FE0 | MSR_FE1, V_SC, 0x7FF00000, 0x84005000, fdiv f4, f1, f2
        fp      other-enabled, OE | UE | XE | VE, MSR_FP | MSR_FE0 | MSR_FE1, V_SC, 0x7FF00000, 0x840050E8, fdiv f4, f1, f2
        # In user state
        fp      user, ZE, MSR_PR | MSR_FP | MSR_FE0 | MSR_FE1, V_PROGRAM, 0x12345678, 0xC4000010, fdiv f4, f1, f2
        # Comparison: the field is written
        fp      compare, VE, MSR_FP | MSR_FE0 | MSR_FE1, V_PROGRAM, 0x12345678, 0xE1001080, fcmpu cr1, f1, f5
        b       finish

        .align  4
constants:
        .double 1.0, 0.0, 1e300
        .long   0x12345678, 0, 0x7FF00000, 1
        .double 3.0
        .space  16
