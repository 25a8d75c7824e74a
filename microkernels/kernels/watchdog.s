#! summary: the watchdog that nobody serves: two steps, then the system reset that TCR[WRC] asks for
#! checks: 3
        .include "lib.inc.s"

        .set    TSR_ENW, 0x80000000
        .set    TSR_WIS, 0x40000000

main:   li      r12, -1
        mttsr   r12
        load32  r12, 0xF0000000         # system reset, the longest period, no interrupt: not while checks print
        mttcr   r12
        mftcr   r14
        check   tcr, r14, 0xF0000000
        mftsr   r14
        rlwinm  r14, r14, 0, 2, 3       # no reset so far was the watchdog's
        check   tsr/wrs, r14, 0
        li      r12, -1
        mttsr   r12
        li      r14, 1
        check   armed, r14, 1
        li      r14, 0
        lis     r4, text_done@ha
        addi    r4, r4, text_done@l
        bl      puts
        li      r3, '3'
        bl      putc
        bl      newline
        # Now the shortest period, 2^21, and nobody serves it. 2^25 ticks are sixteen of them
        load32  r12, 0x30000000
        mttcr   r12
        mftb    r10
1:      mftb    r12
        subf    r12, r10, r12
        srwi.   r12, r12, 25
        beq     1b
        mftsr   r14
        check   only-on-failure/reset, r14, 0xFFFFFFFF
        b       finish
