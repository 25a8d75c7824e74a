#! summary: page permissions, ESR and DEAR of every kind of access, accesses that cross pages, restarts
#! checks: 323
        .include "lib.inc.s"

        .set    EA, 0x40000000
        .set    PA, SCRATCH

        # fault NAME, VECTOR, ESR, DEAR, INSTRUCTION: r4 = EA. After an interrupt r14 and r4 are as before, SRR0 is
        # the instruction.
        .macro  fault name, vector, esr, dear, insn:vararg
        load32  r4, EA
        load32  r14, 0x5A5A0001
        li      r5, 0
        catch   fault_resume\@
fault_at\@:
        \insn
fault_resume\@:
        mr      r15, r14
        mr      r16, r4
        caught  \name, \vector, srr0=fault_at\@, esr=\esr, dear=\dear
        check   \name/target, r15, 0x5A5A0001
        check   \name/base, r16, EA
        .endm

        .macro  works name, insn:vararg
        load32  r4, EA
        li      r5, 0
        catch   1f
        \insn
1:      caught  \name, NONE
        .endm

main:   # A load and a store to an unmapped page, all classes of instruction
        fault   miss/lwz, V_DTLB, 0, EA, lwz r14, 0(r4)
        fault   miss/lwzu, V_DTLB, 0, EA + 4, lwzu r14, 4(r4)
        fault   miss/lbzux, V_DTLB, 0, EA, lbzux r14, r4, r5
        fault   miss/stw, V_DTLB, ESR_ST, EA, stw r14, 0(r4)
        fault   miss/stwu, V_DTLB, ESR_ST, EA - 16, stwu r14, -16(r4)
        fault   miss/stbx, V_DTLB, ESR_ST, EA, stbx r14, r4, r5
        fault   miss/lwarx, V_DTLB, 0, EA, lwarx r14, 0, r4
        fault   miss/lmw, V_DTLB, 0, EA, lmw r14, 0(r4)
        fault   miss/stmw, V_DTLB, ESR_ST, EA, stmw r14, 0(r4)
        fault   miss/lswi, V_DTLB, 0, EA, lswi r14, r4, 8
        fault   miss/stswi, V_DTLB, ESR_ST, EA, stswi r14, r4, 8
        fault   miss/lwbrx, V_DTLB, 0, EA, lwbrx r14, 0, r4
        fault   miss/dcbz, V_DTLB, ESR_ST, EA, dcbz 0, r4
        fault   miss/dcbf, V_DTLB, 0, EA, dcbf 0, r4
        fault   miss/dcbst, V_DTLB, 0, EA, dcbst 0, r4
        fault   miss/dcbi, V_DTLB, ESR_ST, EA, dcbi 0, r4
        fault   miss/icbi, V_DTLB, 0, EA, icbi 0, r4
        works   miss/dcbt, dcbt 0, r4
        works   miss/dcbtst, dcbtst 0, r4
        works   miss/icbt, icbt 0, 0, r4
        works   miss/dcba, dcba 0, r4
        # With the FPU: ESR[FP] joins
        li      r14, MSR_FP
        mtmsr   r14
        isync
        fault   miss/lfd, V_DTLB, ESR_FP, EA, lfd f1, 0(r4)
        li      r14, MSR_FP
        mtmsr   r14
        isync
        fault   miss/lfsu, V_DTLB, ESR_FP, EA + 8, lfsu f1, 8(r4)
        li      r14, MSR_FP
        mtmsr   r14
        isync
        fault   miss/stfd, V_DTLB, ESR_FP | ESR_ST, EA, stfd f1, 0(r4)
        li      r14, 0
        mtmsr   r14

        # Each supervisor permission by itself
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SR
        works   sr/load, lwz r14, 0(r4)
        fault   sr/store, V_DSI, ESR_ST, EA, stw r14, 0(r4)
        fault   sr/dcbz, V_DSI, ESR_ST, EA, dcbz 0, r4
        fault   sr/dcbi, V_DSI, ESR_ST, EA, dcbi 0, r4
        works   sr/dcbf, dcbf 0, r4
        works   sr/dcbst, dcbst 0, r4
        works   sr/icbi, icbi 0, r4
        works   sr/dcbtst, dcbtst 0, r4
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SW
        works   sw/store, stw r14, 0(r4)
        fault   sw/load, V_DSI, 0, EA, lwz r14, 0(r4)
        works   sw/dcbz, dcbz 0, r4
        fault   sw/dcbf, V_DSI, 0, EA, dcbf 0, r4
        fault   sw/icbi, V_DSI, 0, EA, icbi 0, r4
        works   sw/dcbt, dcbt 0, r4
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SX | UX | UR | UW
        fault   sx/load, V_DSI, 0, EA, lwz r14, 0(r4)
        fault   sx/store, V_DSI, ESR_ST, EA, stw r14, 0(r4)
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SR | SW | UX | UR | UW
        # Fetches
        load32  r4, PA
        load32  r5, 0x44000002          # sc
        stw     r5, 0(r4)
        dcbst   0, r4
        msync
        icbi    0, r4
        isync
        catch   1f
        enter   0, EA
1:      caught  fetch/no-sx, V_ISI, srr0=EA, srr1=0, esr=0
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SX
        catch   1f
        enter   0, EA
1:      caught  fetch/sx, V_SC, srr0=EA + 4
        catch   1f
        enter   0, EA + 0x1000
1:      caught  fetch/miss, V_ITLB, srr0=EA + 0x1000
        # A branch to it: SRR0 is the target, the link register is already written
        load32  r14, EA + 0x2000
        mtctr   r14
        catch   2f
1:      bctrl
2:      mflr    r14
        caught  fetch/bctrl, V_ITLB, srr0=EA + 0x2000
        load32  r15, 1b + 4
        subf    r14, r15, r14
        check   fetch/bctrl/lr, r14, 0
        # Running off the end of a page into the unmapped one
        load32  r4, PA + 0xFFC
        load32  r5, 0x60000000          # nop
        stw     r5, 0(r4)
        dcbst   0, r4
        msync
        icbi    0, r4
        isync
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SX
        catch   1f
        enter   0, EA + 0xFFC
1:      caught  fetch/falls-off, V_ITLB, srr0=EA + 0x1000

        # User permissions by MSR[PR]. The common pages are open to both.
        .macro  user name, perms, vector, esr, insn:vararg
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, \perms
        load32  r4, EA
        load32  r14, 0x44000002
        li      r5, 0
        catch   user_resume\@
        enter   MSR_PR, user_at\@
user_at\@:
        \insn
user_next\@:
        sc
user_resume\@:
        .if     \vector == V_SC
        caught  \name, V_SC, srr0=user_next\@ + 4, srr1=MSR_PR
        .else
        caught  \name, \vector, srr0=user_at\@, srr1=MSR_PR, esr=\esr, dear=EA
        .endif
        .endm
        user    user/ur/load, UR, V_SC, 0, lwz r15, 0(r4)
        user    user/ur/store, UR, V_DSI, ESR_ST, stw r14, 0(r4)
        user    user/uw/store, UW, V_SC, 0, stw r14, 0(r4)
        user    user/uw/load, UW, V_DSI, 0, lwz r15, 0(r4)
        user    user/supervisor-only/load, SR | SW | SX, V_DSI, 0, lwz r15, 0(r4)
        user    user/supervisor-only/store, SR | SW | SX, V_DSI, ESR_ST, stw r14, 0(r4)
        user    user/ur/icbi, UR, V_SC, 0, icbi 0, r4
        user    user/ur/dcbf, UR, V_SC, 0, dcbf 0, r4
        user    user/none/icbi, SR, V_DSI, 0, icbi 0, r4
        user    user/none/dcbst, SR, V_DSI, 0, dcbst 0, r4
        user    user/none/dcbt, SR, V_SC, 0, dcbt 0, r4
        user    user/ur/dcbz, UR, V_DSI, ESR_ST, dcbz 0, r4
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SX | SR | SW
        catch   1f
        enter   MSR_PR, EA
1:      caught  user/fetch/no-ux, V_ISI, srr0=EA, srr1=MSR_PR
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, UX
        catch   1f
        enter   MSR_PR, EA
1:      caught  user/fetch/ux, V_SC, srr0=EA + 4, srr1=MSR_PR

        # Crossing into a page that is missing or closed: DEAR is its first byte, and nothing was changed
        load32  r4, PA + 0xFF0
        load32  r5, 0x11223344
        stw     r5, 0(r4)
        stw     r5, 4(r4)
        stw     r5, 8(r4)
        stw     r5, 12(r4)
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SR | SW
        fault   cross/lwz, V_DTLB, 0, EA + 0x1000, lwz r14, 0xFFE(r4)
        fault   cross/lwzu, V_DTLB, 0, EA + 0x1000, lwzu r14, 0xFFD(r4)
        fault   cross/lhz, V_DTLB, 0, EA + 0x1000, lhz r14, 0xFFF(r4)
        fault   cross/stw, V_DTLB, ESR_ST, EA + 0x1000, stw r14, 0xFFE(r4)
        check_word cross/stw/memory, PA + 0xFFC, 0x11223344
        fault   cross/stwu, V_DTLB, ESR_ST, EA + 0x1000, stwu r14, 0xFFE(r4)
        fault   cross/sth, V_DTLB, ESR_ST, EA + 0x1000, sth r14, 0xFFF(r4)
        check_word cross/sth/memory, PA + 0xFFC, 0x11223344
        set_tlb 6, EA + 0x1000 | TLB_V | SIZE_4K, PA + 0x3000, SR
        fault   cross/closed, V_DSI, ESR_ST, EA + 0x1000, stw r14, 0xFFE(r4)
        check_word cross/closed/memory, PA + 0xFFC, 0x11223344
        # First page missing, second there
        clear_tlb 5
        fault   cross/first, V_DTLB, 0, EA + 0xFFE, lwz r14, 0xFFE(r4)
        # Two pages that lie apart in real memory
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SR | SW
        set_tlb 6, EA + 0x1000 | TLB_V | SIZE_4K, PA + 0x3000, SR | SW
        load32  r4, EA + 0xFFE
        load32  r14, 0xA1B2C3D4
        stw     r14, 0(r4)
        lwz     r15, 0(r4)
        lhz     r16, 1(r4)
        check   cross/apart, r15, 0xA1B2C3D4
        check   cross/apart/half, r16, 0xB2C3
        check_word cross/apart/low, PA + 0xFFC, 0x1122A1B2
        load32  r3, PA + 0x3000
        lhz     r14, 0(r3)
        check   cross/apart/high, r14, 0xC3D4
        load32  r4, EA + 0xFFF
        li      r14, 0x5566
        sth     r14, 0(r4)
        lhz     r15, 0(r4)
        check   cross/apart/sth, r15, 0x5566
        load32  r4, EA + 0xFFD
        lwbrx   r14, 0, r4
        check   cross/apart/lwbrx, r14, 0x6655A122

        # Multiple and string across pages: the second page arrives in the handler, then they run again
        clear_tlb 6
        load32  r4, PA + 0xFF8
        load32  r5, 0x01020304
        stw     r5, 0(r4)
        load32  r5, 0x05060708
        stw     r5, 4(r4)
        load32  r4, PA + 0x3000
        load32  r5, 0x090A0B0C
        stw     r5, 0(r4)
        .macro  restart name, insn:vararg
        li      r4, 0
        lis     r3, faults_seen@ha
        stw     r4, faults_seen@l(r3)
        load32  r4, map_second
        lis     r3, exc@ha
        stw     r4, exc@l + EXC_HOOK(r3)
        load32  r4, EA + 0xFF8
        \insn
        mr      r14, r4
        lis     r3, exc@ha
        li      r4, 0
        stw     r4, exc@l + EXC_HOOK(r3)
        check_word \name/faults, faults_seen, 1
        check   \name/base, r14, EA + 0xFF8
        clear_tlb 6
        .endm
        restart restart/lmw, lmw r29, 0(r4)
        check   restart/lmw/29, r29, 0x01020304
        check   restart/lmw/31, r31, 0x090A0B0C
        restart restart/lswi, lswi r20, r4, 11
        check   restart/lswi/0, r20, 0x01020304
        check   restart/lswi/1, r21, 0x05060708
        check   restart/lswi/2, r22, 0x090A0B00
        load32  r29, 0x99999991
        load32  r30, 0x99999992
        load32  r31, 0x99999993
        restart restart/stmw, stmw r29, 0(r4)
        check_word restart/stmw/first, PA + 0xFF8, 0x99999991
        check_word restart/stmw/last, PA + 0x3000, 0x99999993
        load32  r20, 0x31323334
        load32  r21, 0x35363738
        load32  r22, 0x393A3B3C
        restart restart/stswi, stswi r20, r4, 10
        check_word restart/stswi/first, PA + 0xFF8, 0x31323334
        check_word restart/stswi/last, PA + 0x3000, 0x393A9993
        b       finish

        # The hook of `restart`: maps the second page and executes the instruction again.
map_second:
        lis     r31, faults_seen@ha
        lwz     r30, faults_seen@l(r31)
        addi    r30, r30, 1
        stw     r30, faults_seen@l(r31)
        load32  r30, PA + 0x3000
        li      r31, 6
        tlbwe   r30, r31, 1
        li      r30, SR | SW
        tlbwe   r30, r31, 2
        load32  r30, EA + 0x1000 | TLB_V | SIZE_4K
        tlbwe   r30, r31, 0
        b       exc_retry

faults_seen: .long 0
