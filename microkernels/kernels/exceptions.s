#! summary: sc, traps, illegal and privileged instructions, FP unavailable, alignment; what happens to MSR, SRR, ESR
#! checks: 577
        .include "lib.inc.s"

        .set    EA, 0x40000000
        .set    PA, SCRATCH

        # program NAME, MSR, ESR, INSTRUCTION: executed with that MSR, it is refused with a program interrupt
        .macro  program name, msr, esr, insn:vararg
        load32  r4, PA
        li      r5, 0
        li      r6, 3
        catch   program_resume\@
        enter   \msr, program_at\@
program_at\@:
        \insn
program_resume\@:
        caught  \name, V_PROGRAM, srr0=program_at\@, srr1=\msr, esr=\esr, msr=\msr & (MSR_CE | MSR_ME | MSR_DE)
        .endm

        # allowed NAME, MSR, INSTRUCTION: executed with that MSR, it is not refused; sc follows it
        .macro  allowed name, msr, insn:vararg
        load32  r4, PA
        li      r5, 0
        li      r6, 3
        catch   allowed_resume\@
        enter   \msr, allowed_at\@
allowed_at\@:
        \insn
allowed_next\@:
        sc
allowed_resume\@:
        caught  \name, V_SC, srr0=allowed_next\@ + 4, srr1=\msr
        .endm

main:   # System call: SRR0 is the next instruction; MSR keeps CE, ME, DE and loses all else
        allowed sc/plain, 0, nop
        allowed sc/user, MSR_PR, nop
        allowed sc/all, MSR_CE | MSR_EE | MSR_PR | MSR_FP | MSR_ME | MSR_FE0 | MSR_DWE | MSR_FE1, nop
        check_word sc/msr, exc + EXC_MSR, MSR_CE | MSR_ME
        allowed sc/de, MSR_DE, nop
        check_word sc/de/msr, exc + EXC_MSR, MSR_DE
        allowed sc/fp, MSR_FP, nop
        check_word sc/fp/msr, exc + EXC_MSR, 0

        # Traps: each TO bit, alone, with operands that hold and that do not
        .macro  traps name, a, b, insn:vararg
        load32  r4, \a
        load32  r5, \b
        catch   1f
2:      \insn
1:      caught  \name, V_PROGRAM, srr0=2b, esr=ESR_PTR
        .endm
        .macro  passes name, a, b, insn:vararg
        load32  r4, \a
        load32  r5, \b
        catch   1f
        \insn
1:      caught  \name, NONE
        .endm
        traps   twlt/signed, 0xFFFFFFFF, 1, twlt r4, r5
        passes  twlt/greater, 1, 0xFFFFFFFF, twlt r4, r5
        passes  twlt/equal, 5, 5, twlt r4, r5
        traps   twgt, 1, 0xFFFFFFFF, twgt r4, r5
        passes  twgt/less, 0x80000000, 0x7FFFFFFF, twgt r4, r5
        traps   tweq, 5, 5, tweq r4, r5
        passes  tweq/not, 5, 6, tweq r4, r5
        traps   twllt, 1, 0xFFFFFFFF, twllt r4, r5
        passes  twllt/greater, 0xFFFFFFFF, 1, twllt r4, r5
        traps   twlgt, 0xFFFFFFFF, 1, twlgt r4, r5
        passes  twlgt/less, 1, 0xFFFFFFFF, twlgt r4, r5
        traps   twne, 1, 2, twne r4, r5
        passes  twne/equal, 2, 2, twne r4, r5
        traps   twge, 2, 2, twge r4, r5
        traps   twlle, 2, 3, twlle r4, r5
        traps   twi, 0xFFFFFFFF, 0, tweqi r4, -1
        passes  twi/not, 0xFFFF, 0, tweqi r4, -1
        traps   twlgti, 2, 0, twlgti r4, 1
        traps   trap, 0, 0, trap
        passes  tw/none, 5, 5, tw 0, r4, r5
        program trap/user, MSR_PR, ESR_PTR, trap
        program trap/keeps, MSR_CE | MSR_ME | MSR_PR | MSR_EE, ESR_PTR, trap

        # Illegal instructions, in both states
        program illegal/0, 0, ESR_PIL, .long 0
        program illegal/primary-1, 0, ESR_PIL, .long 0x04000000
        program illegal/primary-2, 0, ESR_PIL, .long 0x08000000
        program illegal/primary-5, 0, ESR_PIL, .long 0x14000000
        program illegal/primary-6, 0, ESR_PIL, .long 0x18000000
        program illegal/ld, 0, ESR_PIL, .long 0xE8640000
        program illegal/std, 0, ESR_PIL, .long 0xF8640000
        program illegal/rldicl, 0, ESR_PIL, .long 0x78630000
        program illegal/31-xo, 0, ESR_PIL, .long 0x7C0007FC
        program illegal/19-xo, 0, ESR_PIL, .long 0x4C0007FC
        program illegal/tlbie, 0, ESR_PIL, .long 0x7C000264
        program illegal/mfsr, 0, ESR_PIL, .long 0x7C6004A6
        program illegal/tlbivax, 0, ESR_PIL, .long 0x7C002624
        program illegal/popcntb, 0, ESR_PIL, .long 0x7C6300F4
        program illegal/vaddubm, 0, ESR_PIL, .long 0x10000000
        program illegal/user, MSR_PR, ESR_PIL, .long 0
        program illegal/mtspr-999, 0, ESR_PIL, mtspr 999, r5
        program illegal/mfspr-999, 0, ESR_PIL, mfspr r5, 999
        program illegal/mfspr-0, 0, ESR_PIL, mfspr r5, 0
        # SPRN bit 5 (mask 0x10) says privileged: clear, it is an illegal instruction for the user, set, a privileged one
        program illegal/mfspr-user, MSR_PR, ESR_PIL, mfspr r5, 2
        program illegal/mfspr-user-privileged, MSR_PR, ESR_PPR, mfspr r5, 1023

        # Privileged instructions in user state
        program privileged/mfmsr, MSR_PR, ESR_PPR, mfmsr r5
        program privileged/mtmsr, MSR_PR, ESR_PPR, mtmsr r5
        program privileged/wrtee, MSR_PR, ESR_PPR, wrtee r5
        program privileged/wrteei, MSR_PR, ESR_PPR, wrteei 1
        program privileged/rfi, MSR_PR, ESR_PPR, rfi
        program privileged/rfci, MSR_PR, ESR_PPR, rfci
        program privileged/rfmci, MSR_PR, ESR_PPR, rfmci
        program privileged/tlbwe, MSR_PR, ESR_PPR, tlbwe r5, r6, 0
        program privileged/tlbre, MSR_PR, ESR_PPR, tlbre r5, r6, 0
        program privileged/tlbsx, MSR_PR, ESR_PPR, tlbsx r5, r6, r6
        program privileged/tlbsync, MSR_PR, ESR_PPR, tlbsync
        program privileged/mfdcr, MSR_PR, ESR_PPR, mfdcr r5, 0xC0
        program privileged/mtdcr, MSR_PR, ESR_PPR, mtdcr 0xC0, r5
        program privileged/dcbi, MSR_PR, ESR_PPR, dcbi 0, r4
        program privileged/dccci, MSR_PR, ESR_PPR, dccci 0, r4
        program privileged/iccci, MSR_PR, ESR_PPR, iccci 0, r4
        program privileged/dcread, MSR_PR, ESR_PPR, dcread r5, 0, r4
        program privileged/icread, MSR_PR, ESR_PPR, icread 0, r4
        .irp    spr, 22, 26, 27, 48, 54, 58, 59, 61, 62, 63, 272, 276, 284, 285, 286, 287, 304, 308, 312, 316, 318, 336, 340, 400, 415, 570, 572, 888, 946, 947
        program privileged/mfspr-\spr, MSR_PR, ESR_PPR, mfspr r5, \spr
        .endr
        program privileged/mtspr-48, MSR_PR, ESR_PPR, mtspr 48, r5
        program privileged/mtspr-276, MSR_PR, ESR_PPR, mtspr 276, r5
        # What the user may read
        .irp    spr, 1, 8, 9, 256, 260, 261, 262, 263, 268, 269
        allowed user/mfspr-\spr, MSR_PR, mfspr r7, \spr
        .endr
        allowed user/mtspr-256, MSR_PR, mtspr 256, r5

        # FP unavailable: every kind of FPU instruction, in both states
        .macro  unavailable name, msr, insn:vararg
        load32  r4, PA
        li      r5, 0
        catch   unavailable_resume\@
        enter   \msr, unavailable_at\@
unavailable_at\@:
        \insn
unavailable_resume\@:
        caught  \name, V_FP, srr0=unavailable_at\@, srr1=\msr
        .endm
        unavailable fp/fadd, 0, fadd f1, f2, f3
        unavailable fp/fmr, 0, fmr f1, f2
        unavailable fp/lfd, 0, lfd f1, 0(r4)
        unavailable fp/stfsx, 0, stfsx f1, r4, r5
        unavailable fp/stfiwx, 0, stfiwx f1, r4, r5
        unavailable fp/mffs, 0, mffs f1
        unavailable fp/mtfsb1, 0, mtfsb1 3
        unavailable fp/fcmpu, 0, fcmpu cr0, f1, f2
        unavailable fp/mcrfs, 0, mcrfs cr0, cr1
        unavailable fp/user, MSR_PR, fadd f1, f2, f3
        allowed     fp/available, MSR_PR | MSR_FP, fmr f1, f2
        # It comes before a fault of the memory access
        load32  r4, EA
        catch   1f
2:      lfd     f1, 0(r4)
1:      caught  fp/before-miss, V_FP, srr0=2b

        # Alignment: DEAR is the address, ESR[ST] tells stores
        .macro  misaligned name, esr, dear, insn:vararg
        load32  r4, PA
        li      r5, 0
        li      r6, 2
        load32  r14, MSR_FP
        mtmsr   r14
        isync
        catch   1f
2:      \insn
1:      caught  \name, V_ALIGN, srr0=2b, esr=\esr, dear=\dear
        .endm
        .macro  aligned name, insn:vararg
        load32  r4, PA
        li      r5, 0
        li      r6, 2
        load32  r14, MSR_FP
        mtmsr   r14
        isync
        catch   1f
        \insn
1:      li      r14, 0
        mtmsr   r14
        caught  \name, NONE
        .endm
        misaligned align/lwarx, 0, PA + 2, lwarx r14, r4, r6
        misaligned align/stwcx, ESR_ST, PA + 2, stwcx. r14, r4, r6
        misaligned align/lfd-crosses, ESR_FP, PA + 12, lfd f1, 12(r4)
        misaligned align/lfs-crosses, ESR_FP, PA + 14, lfs f1, 14(r4)
        misaligned align/stfd-crosses, ESR_FP | ESR_ST, PA + 9, stfd f1, 9(r4)
        misaligned align/stfs-crosses, ESR_FP | ESR_ST, PA + 13, stfs f1, 13(r4)
        aligned    align/lfd-4, lfd f1, 4(r4)
        aligned    align/lfd-8, lfd f1, 8(r4)
        aligned    align/lfs-10, lfs f1, 10(r4)
        aligned    align/stfd-5, stfd f1, 5(r4)
        aligned    align/lwz-crosses, lwz r14, 14(r4)
        aligned    align/lhz-crosses, lhz r14, 15(r4)
        aligned    align/lmw, lmw r30, 14(r4)
        aligned    align/stmw, stmw r30, 14(r4)
        aligned    align/lswi, lswi r14, r4, 7
        # dcbz to a page that is not cached, or written through
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, TLB_I | SR | SW
        load32  r4, EA + 4
        catch   1f
2:      dcbz    0, r4
1:      caught  align/dcbz-i, V_ALIGN, srr0=2b, esr=ESR_ST, dear=EA + 4
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, TLB_W | SR | SW
        load32  r4, EA + 4
        catch   1f
2:      dcbz    0, r4
1:      caught  align/dcbz-w, V_ALIGN, srr0=2b, esr=ESR_ST, dear=EA + 4
        # A missing page counts before alignment
        load32  r4, EA + 0x1000
        catch   1f
2:      dcbz    0, r4
1:      caught  align/dcbz-miss, V_DTLB, srr0=2b, esr=ESR_ST, dear=EA + 0x1000
        # CCR0[FLSTA] forces alignment on integer accesses, load multiple included, strings excluded
        mfccr0  r14
        mr      r29, r14
        ori     r14, r14, 0x100
        mtccr0  r14
        isync
        misaligned flsta/lwz, 0, PA + 2, lwz r14, 2(r4)
        misaligned flsta/lhz, 0, PA + 1, lhz r14, 1(r4)
        misaligned flsta/stw, ESR_ST, PA + 1, stw r14, 1(r4)
        misaligned flsta/sthx, ESR_ST, PA + 1, sthu r14, 1(r4)
        misaligned flsta/lmw, 0, PA + 2, lmw r30, 2(r4)
        misaligned flsta/stmw, ESR_ST, PA + 2, stmw r30, 2(r4)
        aligned    flsta/lwz-aligned, lwz r14, 4(r4)
        aligned    flsta/lhz-aligned, lhz r14, 2(r4)
        aligned    flsta/lbz, lbz r14, 1(r4)
        aligned    flsta/lswi, lswi r14, r4, 7
        mtccr0  r29
        isync

        # rfi restores MSR from SRR1 without the bits that do not exist; SRR1 itself keeps what it was given
        load32  r14, 0xFFFFFFFF & ~(MSR_WE | MSR_PR | MSR_IS | MSR_DS | MSR_DE | MSR_DWE | MSR_EE | MSR_CE | MSR_FE0 | MSR_FE1)
        mtsrr1  r14
        load32  r12, 1f
        mtsrr0  r12
        rfi
1:      mfmsr   r14
        li      r15, 0
        mtmsr   r15
        check   rfi/msr, r14, MSR_ME | MSR_FP
        load32  r14, 0xFFFFFFFF & ~(MSR_WE | MSR_PR | MSR_IS | MSR_DS | MSR_DE | MSR_DWE | MSR_EE | MSR_CE | MSR_FE0 | MSR_FE1)
        mtmsr   r14
        mfmsr   r14
        li      r15, 0
        mtmsr   r15
        check   mtmsr/mask, r14, MSR_ME | MSR_FP
        # wrtee takes EE alone
        li      r14, -1
        wrtee   r14
        mfmsr   r15
        wrteei  0
        mfmsr   r16
        check   wrtee, r15, MSR_EE
        check   wrteei/0, r16, 0
        wrteei  1
        mfmsr   r15
        li      r14, 0
        wrtee   r14
        mfmsr   r16
        check   wrteei/1, r15, MSR_EE
        check   wrtee/0, r16, 0
        # The two low bits of SRR0 do not count
        load32  r14, 1f + 3
        mtsrr0  r14
        li      r14, 0
        mtsrr1  r14
        catch   2f
        rfi
1:      sc
2:      caught  rfi/low-bits, V_SC, srr0=1b + 4
        # The vector is IVPR's upper half and IVOR's middle
        li      r14, -1
        mtivpr  r14
        mfivpr  r15
        load32  r16, BASE
        mtivpr  r16
        check   ivpr/mask, r15, 0xFFFF0000
        mfivor9 r16
        mtivor9 r14
        mfivor9 r15
        mtivor9 r16
        check   ivor/mask, r15, 0xFFF0
        # DEAR and ESR can be written
        load32  r14, 0x12345678
        mtdear  r14
        mfdear  r15
        check   dear/write, r15, 0x12345678
        b       finish
