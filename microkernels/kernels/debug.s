#! summary: debug events through DBCR0 and DBSR: single step, address compares, trap, branch, return, interrupt; rfci
#! checks: 80
        .include "lib.inc.s"

        .set    IDM, 0x40000000
        .set    ICMP, 0x08000000
        .set    BRT, 0x04000000
        .set    IRPT, 0x02000000
        .set    TRAP, 0x01000000
        .set    IAC1, 0x00800000
        .set    IAC2, 0x00400000
        .set    DAC1R, 0x00080000
        .set    DAC1W, 0x00040000
        .set    RET, 0x00008000
        .set    IDE, 0x80000000

        # arm EVENTS: internal debug mode with these events, a clean DBSR. Changes r12.
        .macro  arm events
        li      r12, -1
        mtdbsr  r12
        load32  r12, \events
        mtdbcr0 r12
        isync
        .endm

        # disarm: r20 = DBSR, which is cleared. Changes r12.
        .macro  disarm
        li      r12, 0
        mtdbcr0 r12
        isync
        mfdbsr  r20
        li      r12, -1
        mtdbsr  r12
        .endm

main:   # DBSR is cleared by ones
        disarm
        mfdbsr  r14
        check   dbsr/clear, r14, 0
        load32  r14, IDM | TRAP
        mtdbcr0 r14
        mfdbcr0 r15
        disarm
        check   dbcr0, r15, IDM | TRAP

        # Trap: instead of the program interrupt, critical class
        arm     IDM | TRAP
        catch   2f
        enter   MSR_DE, 1f
1:      trap
2:      disarm
        caught  trap, V_DEBUG, srr0=1b, srr1=MSR_DE, msr=0
        check   trap/dbsr, r20, TRAP
        # Only ME survives a critical interrupt; SRR0 and SRR1 are not touched
        arm     IDM | TRAP
        catch   2f
        enter   MSR_CE | MSR_ME | MSR_DE | MSR_FP | MSR_PR, 1f
1:      trap
2:      mfsrr0  r21
        mfsrr1  r22
        disarm
        caught  critical, V_DEBUG, srr0=1b, srr1=MSR_CE | MSR_ME | MSR_DE | MSR_FP | MSR_PR, msr=MSR_ME
        load32  r4, 1b
        subf    r21, r4, r21
        check   critical/keeps-srr0, r21, 0
        check   critical/keeps-srr1, r22, MSR_CE | MSR_ME | MSR_DE | MSR_FP | MSR_PR
        # rfci restores MSR from CSRR1
        load32  r14, 1f
        mtcsrr0 r14
        load32  r14, MSR_CE | MSR_ME | MSR_FP
        mtcsrr1 r14
        rfci
1:      mfmsr   r14
        li      r15, 0
        mtmsr   r15
        check   rfci/msr, r14, MSR_CE | MSR_ME | MSR_FP
        # With DE off the program interrupt comes, and the event is remembered as imprecise
        arm     IDM | TRAP
        catch   2f
        enter   0, 1f
1:      trap
2:      mfdbsr  r20
        caught  trap/de0, V_PROGRAM, srr0=1b, esr=ESR_PTR
        check   trap/de0/dbsr, r20, IDE | TRAP
        # It interrupts as soon as DE is set, with DBSR still holding it
        catch   2f
        enter   MSR_DE, 1f
1:      nop
2:      disarm
        caught  trap/delayed, V_DEBUG, srr0=1b, srr1=MSR_DE
        check   trap/delayed/dbsr, r20, IDE | TRAP
        # The same through mtmsr: CSRR0 is the instruction after it
        arm     IDM | TRAP
        catch   2f
        trap
2:      catch   4f
        load32  r14, MSR_DE
3:      mtmsr   r14
        nop
        nop
4:      disarm
        caught  trap/delayed-mtmsr, V_DEBUG, srr0=3b + 4
        # Not enabled
        arm     IDM
        catch   2f
        enter   MSR_DE, 1f
1:      trap
2:      disarm
        caught  trap/disabled, V_PROGRAM, srr0=1b, srr1=MSR_DE, esr=ESR_PTR, msr=MSR_DE
        check   trap/disabled/dbsr, r20, 0

        # Instruction complete: after one instruction, in either state, along a branch
        arm     IDM | ICMP
        catch   2f
        li      r15, 0
        enter   MSR_DE, 1f
1:      addi    r15, r15, 1
        addi    r15, r15, 1
2:      disarm
        caught  icmp, V_DEBUG, srr0=1b + 4, srr1=MSR_DE
        check   icmp/dbsr, r20, ICMP
        check   icmp/one, r15, 1
        arm     IDM | ICMP
        catch   2f
        enter   MSR_DE | MSR_PR, 1f
1:      b       3f
        nop
3:      nop
2:      disarm
        caught  icmp/user-branch, V_DEBUG, srr0=3b, srr1=MSR_DE | MSR_PR
        arm     IDM | ICMP
        catch   2f
        nop                             # DE is off
        nop
2:      disarm
        caught  icmp/de0, NONE
        check   icmp/de0/dbsr, r20, 0
        # An instruction that faults does not complete. Its handler runs with DE still on: the first event is that of
        # the handler's first instruction
        arm     IDM | ICMP
        catch   2f
        load32  r4, 0x40000000
        enter   MSR_DE, 1f
1:      lwz     r14, 0(r4)
2:      mfsrr0  r21
        mfsprg  r30, 0                  # saved by the handler that was cut short
        disarm
        caught  icmp/fault, V_DEBUG, srr0=BASE + 0x100 + V_DTLB * 0x20 + 4, srr1=MSR_DE
        load32  r4, 1b
        subf    r21, r4, r21
        check   icmp/fault/srr0-of-miss, r21, 0

        # Instruction address compare: before the instruction
        load32  r14, 3f
        mtiac1  r14
        arm     IDM | IAC1
        catch   2f
        li      r15, 0
        enter   MSR_DE, 1f
1:      addi    r15, r15, 1
3:      addi    r15, r15, 2
        addi    r15, r15, 4
2:      disarm
        caught  iac, V_DEBUG, srr0=3b, srr1=MSR_DE
        check   iac/dbsr, r20, IAC1
        check   iac/before, r15, 1
        load32  r14, 3f
        mtspr   iac2, r14
        arm     IDM | IAC2
        catch   2f
        enter   MSR_DE, 3f
3:      nop
2:      disarm
        caught  iac2, V_DEBUG, srr0=3b
        check   iac2/dbsr, r20, IAC2
        # Inclusive range: from IAC1 to before IAC2
        load32  r14, 3f
        mtiac1  r14
        load32  r14, 4f
        mtspr   iac2, r14
        load32  r14, 0x00800000
        mtdbcr1 r14
        arm     IDM | IAC1
        catch   2f
        enter   MSR_DE, 1f
1:      nop
        nop
3:      nop
        nop
4:      nop
2:      disarm
        caught  iac/range, V_DEBUG, srr0=3b
        # User state only
        load32  r14, 1f
        mtiac1  r14
        load32  r14, 0xC0000000
        mtdbcr1 r14
        arm     IDM | IAC1
        catch   2f
        enter   MSR_DE, 1f
1:      sc
2:      disarm
        caught  iac/user-only/supervisor, V_SC
        load32  r14, 1f
        mtiac1  r14
        arm     IDM | IAC1
        catch   2f
        enter   MSR_DE | MSR_PR, 1f
1:      sc
2:      disarm
        caught  iac/user-only/user, V_DEBUG, srr0=1b, srr1=MSR_DE | MSR_PR
        li      r14, 0
        mtdbcr1 r14
        mtiac1  r14
        mtspr   iac2, r14

        # Data address compare. CSRR0 may be the instruction or a later one: only the interrupt counts
        load32  r4, SCRATCH
        mtdac1  r4
        arm     IDM | DAC1R
        catch   2f
        enter   MSR_DE, 1f
1:      lwz     r14, 0(r4)
        nop
        sc
2:      disarm
        caught  dac/read, V_DEBUG, srr1=MSR_DE
        check   dac/read/dbsr, r20, DAC1R
        load32  r4, SCRATCH
        arm     IDM | DAC1R
        catch   2f
        enter   MSR_DE, 1f
1:      stw     r14, 0(r4)
        lwz     r14, 4(r4)
        sc
2:      disarm
        caught  dac/read-only, V_SC
        check   dac/read-only/dbsr, r20, 0
        load32  r4, SCRATCH
        arm     IDM | DAC1W
        catch   2f
        enter   MSR_DE, 1f
1:      stw     r14, 0(r4)
        nop
        sc
2:      disarm
        caught  dac/write, V_DEBUG
        check   dac/write/dbsr, r20, DAC1W
        load32  r4, SCRATCH             # with DE off it is remembered
        arm     IDM | DAC1W
        stw     r14, 0(r4)
        disarm
        check   dac/de0/dbsr, r20, IDE | DAC1W
        li      r14, 0
        mtdac1  r14

        # Branch taken: CSRR0 is the branch, which was not executed
        arm     IDM | BRT
        catch   2f
        li      r14, 0
        mtlr    r14
        mtcr    r14
        enter   MSR_DE, 1f
1:      beq     3f                      # not taken
4:      bl      3f
        nop
3:      sc
2:      disarm
        mflr    r21
        caught  brt, V_DEBUG, srr0=4b, srr1=MSR_DE
        check   brt/dbsr, r20, BRT
        check   brt/suppressed, r21, 0

        # Return: CSRR0 is the rfi
        catch   2f
        arm     0
        enter   MSR_DE, 1f
1:      arm     IDM | RET
        load32  r14, 3f
        mtsrr0  r14
        li      r14, 0
        mtsrr1  r14
4:      rfi
3:      sc
2:      disarm
        caught  ret, V_DEBUG, srr0=4b, srr1=MSR_DE
        check   ret/dbsr, r20, RET

        # Interrupt: CSRR0 is the vector, whose first instruction was not executed; SRR0 is set
        arm     IDM | IRPT
        catch   2f
        enter   MSR_DE, 1f
1:      sc
        nop
2:      mfsrr0  r21
        disarm
        caught  irpt, V_DEBUG, srr0=BASE + 0x100 + V_SC * 0x20, srr1=MSR_DE
        check   irpt/dbsr, r20, IRPT
        load32  r4, 1b + 4
        subf    r21, r4, r21
        check   irpt/srr0-of-sc, r21, 0
        b       finish
