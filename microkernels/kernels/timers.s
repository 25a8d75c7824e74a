#! summary: time base, decrementer with and without reload, FIT, watchdog steps, TSR and TCR, waiting with MSR[WE]
#! checks: 49
        .include "lib.inc.s"

        .set    TCR_WIE, 0x08000000
        .set    TCR_DIE, 0x04000000
        .set    TCR_FIE, 0x00800000
        .set    TCR_ARE, 0x00400000
        .set    TSR_ENW, 0x80000000
        .set    TSR_WIS, 0x40000000
        .set    TSR_DIS, 0x08000000
        .set    TSR_FIS, 0x04000000

        # until MASK: waits until TSR has a bit of MASK, for at most 2^28 ticks; r14 = TSR & MASK
        .macro  until mask
        load32  r11, \mask
        bl      until_tsr
        .endm

        .macro  clear_tsr
        li      r12, -1
        mttsr   r12
        .endm

main:   li      r12, 0
        mttcr   r12
        clear_tsr

        # The time base moves, and both ways to read it agree
        mftb    r14
        mftb    r15, 268
        mfspr   r16, 268
        subf    r17, r14, r15
        subf    r18, r15, r16
        srwi    r17, r17, 28            # small and not negative
        srwi    r18, r18, 28
        check   tb/mftb, r17, 0
        check   tb/mfspr, r18, 0
        li      r15, 1000
        mtctr   r15
        mftb    r14
1:      bdnz    1b
        mftb    r15
        cmplw   r14, r15
        mfcr    r14
        srwi    r14, r14, 31
        check   tb/moves, r14, 1
        # Written halves are read back; the upper one follows the carry of the lower
        li      r15, 0
        mttbl   r15
        li      r16, 5
        mttbu   r16
        li      r15, -256
        mttbl   r15
        load32  r15, 1000000
        mtctr   r15
1:      mftbu   r14
        cmpwi   r14, 5
        bdnzt   eq, 1b
        check   tb/carry, r14, 6
        mftb    r14
        srwi    r14, r14, 28
        check   tb/wrapped, r14, 0

        # DEC: from 1 to 0 it sets DIS and stays at 0
        li      r15, 2000
        mtdec   r15
        mfdec   r14
        cmplwi  r14, 2001
        mfcr    r14
        srwi    r14, r14, 31
        check   dec/runs, r14, 1
        until   TSR_DIS
        check   dec/dis, r14, TSR_DIS
        mfdec   r14
        check   dec/stops, r14, 0
        # TSR is cleared by ones, bit by bit
        load32  r15, 0xFFFFFFFF ^ TSR_DIS
        mttsr   r15
        mftsr   r14
        rlwinm  r14, r14, 0, 4, 4
        check   tsr/other-bits, r14, TSR_DIS
        load32  r15, TSR_DIS
        mttsr   r15
        mftsr   r14
        rlwinm  r14, r14, 0, 4, 4
        check   tsr/clear, r14, 0
        # Writing 0 raises nothing
        li      r15, 4000 # ticks: slow engines must reach the next write before they are over
        mtdec   r15
        li      r15, 0
        mtdec   r15
        load32  r15, 100000
        mtctr   r15
1:      bdnz    1b
        mftsr   r14
        rlwinm  r14, r14, 0, 4, 4
        check   dec/write-zero, r14, 0

        # The interrupt: needs DIE and EE; SRR0 is where it struck
        load32  r15, TCR_DIE
        mttcr   r15
        li      r15, 1
        mtdec   r15
        until   TSR_DIS
        catch   2f
1:      wrteei  1
        nop
        nop
2:      wrteei  0
        caught  dec/held, V_DEC, srr0=1b + 4, srr1=MSR_EE, msr=0
        # DIS stays set: it comes again
        catch   2f
1:      wrteei  1
        nop
2:      wrteei  0
        caught  dec/again, V_DEC, srr0=1b + 4
        clear_tsr
        catch   2f
        wrteei  1
        nop
        nop
2:      wrteei  0
        caught  dec/cleared, NONE
        li      r15, 0
        mttcr   r15
        li      r15, 1
        mtdec   r15
        until   TSR_DIS
        catch   2f
        wrteei  1
        nop
        nop
2:      wrteei  0
        caught  dec/not-enabled, NONE
        # ME, CE and the like are kept
        load32  r15, TCR_DIE
        mttcr   r15
        catch   2f
        enter   MSR_EE | MSR_ME | MSR_CE | MSR_PR, 1f
1:      nop
2:      nop
        caught  dec/msr, V_DEC, srr0=1b, srr1=MSR_EE | MSR_ME | MSR_CE | MSR_PR, msr=MSR_CE | MSR_ME
        clear_tsr
        # While code runs in a loop
        catch   2f
        li      r15, 5000
        mtdec   r15
        wrteei  1
1:      b       1b
2:      wrteei  0
        caught  dec/loop, V_DEC, srr0=1b, srr1=MSR_EE
        clear_tsr

        # Auto-reload
        load32  r15, 4000000
        mtdecar r15
        load32  r15, TCR_ARE
        mttcr   r15
        li      r15, 500
        mtdec   r15
        until   TSR_DIS
        check   reload/first, r14, TSR_DIS
        mfdec   r14
        load32  r15, 4000001
        cmplw   r14, r15
        mfcr    r15
        srwi    r15, r15, 31
        cmpwi   r14, 0
        mfcr    r16
        extrwi  r16, r16, 1, 2
        check   reload/below, r15, 1
        check   reload/not-zero, r16, 0
        clear_tsr
        until   TSR_DIS
        check   reload/second, r14, TSR_DIS
        li      r15, 0
        mttcr   r15
        mtdec   r15
        clear_tsr

        # Waiting: MSR[WE] stops the core until the decrementer comes; SRR1 keeps WE
        load32  r15, TCR_DIE
        mttcr   r15
        catch   2f
        load32  r14, 30000
        load32  r15, MSR_WE | MSR_EE
        mftb    r20
        mtdec   r14
        mtmsr   r15
1:      nop
2:      mftb    r21
        caught  wait, V_DEC, srr0=1b, srr1=MSR_WE | MSR_EE, msr=0
        subf    r21, r20, r21
        load32  r14, 29990
        cmplw   r14, r21
        mfcr    r14
        srwi    r14, r14, 31
        check   wait/long-enough, r14, 1
        clear_tsr
        li      r15, 0
        mttcr   r15

        # FIT: period 2^13
        until   TSR_FIS
        check   fit/fis, r14, TSR_FIS
        clear_tsr
        until   TSR_FIS
        check   fit/again, r14, TSR_FIS
        load32  r15, TCR_FIE
        mttcr   r15
        catch   2f
1:      wrteei  1
        nop
2:      wrteei  0
        caught  fit, V_FIT, srr0=1b + 4, srr1=MSR_EE, msr=0
        li      r15, 0
        mttcr   r15
        clear_tsr

        # Watchdog, period 2^21: first ENW, then WIS with its critical interrupt. (A third one would reset by WRC.)
        # (Whether WIS is already there when ENW is seen depends on how long the host looked away.)
        until   TSR_ENW
        check   wdt/enw, r14, TSR_ENW
        until   TSR_WIS
        check   wdt/wis, r14, TSR_WIS
        load32  r15, TCR_WIE
        mttcr   r15
        catch   2f
        wrteei  1                       # EE does not let it in
        nop
        nop
2:      wrteei  0
        caught  wdt/ee, NONE
        catch   2f
        load32  r15, MSR_CE | MSR_ME | MSR_EE
1:      mtmsr   r15
        nop
2:      nop
        caught  wdt, V_WDT, srr0=1b + 4, srr1=MSR_CE | MSR_ME | MSR_EE, msr=MSR_ME
        li      r15, 0
        mtmsr   r15
        # WRC stays set once set. The longest period, so that the run ends before the watchdog does it
        load32  r15, 0xF0000000
        mttcr   r15
        clear_tsr
        load32  r15, 0xC0000000
        mttcr   r15
        mftcr   r14
        check   tcr/wrc-sticks, r14, 0xF0000000
        clear_tsr
        b       finish

        # until_tsr: r11 = mask
until_tsr:
        mftb    r10
1:      mftsr   r14
        and.    r14, r14, r11
        bnelr
        mftb    r12
        subf    r12, r10, r12
        srwi.   r12, r12, 28
        beq     1b
        blr
