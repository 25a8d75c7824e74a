#! summary: interrupt controller and UART: delivery, EE and CE masks, critical routing, level latches, software set
#! checks: 28
        .include "lib.inc.s"

        # UIC0 device control registers
        .set    UIC_SR, 0xC0
        .set    UIC_SRS, 0xC1
        .set    UIC_ER, 0xC2
        .set    UIC_CR, 0xC3
        .set    UIC_PR, 0xC4
        .set    UIC_TR, 0xC5
        .set    UIC_MSR, 0xC6
        .set    IN_UART0, 0x80000000
        # UART0
        .set    IER, 1
        .set    IIR, 2
        .set    IER_THRE, 2

        .macro  dcr number, value
        load32  r12, \value
        mtdcr   \number, r12
        .endm

main:   dcr     UIC_ER, 0
        dcr     UIC_CR, 0
        dcr     UIC_TR, 0
        dcr     UIC_PR, 0xFFFFFFFF
        dcr     UIC_SR, 0xFFFFFFFF
        # The registers keep what they are given
        dcr     UIC_ER, 0x12345678
        mfdcr   r14, UIC_ER
        dcr     UIC_ER, 0
        dcr     UIC_CR, 0x87654321
        mfdcr   r15, UIC_CR
        dcr     UIC_CR, 0
        check   er, r14, 0x12345678
        check   cr, r15, 0x87654321

        # The transmitter is empty: enabling its interrupt raises the line, UIC latches it
        load32  r20, UART
        li      r21, IER_THRE
        stb     r21, IER(r20)
        mfdcr   r14, UIC_SR
        rlwinm  r14, r14, 0, 0, 0
        mfdcr   r15, UIC_MSR
        check   sr, r14, IN_UART0
        check   msr/masked, r15, 0
        dcr     UIC_ER, IN_UART0
        mfdcr   r15, UIC_MSR
        check   msr/enabled, r15, IN_UART0
        # A level that is still up is set again at once
        dcr     UIC_SR, IN_UART0
        mfdcr   r14, UIC_SR
        rlwinm  r14, r14, 0, 0, 0
        check   sr/level-stays, r14, IN_UART0

        # EE lets it in. Checks print, which empties the transmitter again: the line is up each time
        catch   2f
        wrteei  0
        nop
        nop
2:      caught  external/ee0, NONE
        catch   2f
1:      wrteei  1
        nop
        nop
2:      wrteei  0
        caught  external, V_EXTERNAL, srr0=1b + 4, srr1=MSR_EE, msr=0
        catch   2f
        enter   MSR_EE | MSR_ME | MSR_CE | MSR_PR, 1f
1:      nop
2:      nop
        caught  external/user, V_EXTERNAL, srr0=1b, srr1=MSR_EE | MSR_ME | MSR_CE | MSR_PR, msr=MSR_CE | MSR_ME
        # Reading IIR takes a transmitter interrupt back; then the latch can be cleared
        lbz     r14, IIR(r20)
        rlwinm  r14, r14, 0, 28, 31
        lbz     r15, IIR(r20)
        rlwinm  r15, r15, 0, 28, 31
        dcr     UIC_SR, IN_UART0
        mfdcr   r16, UIC_SR
        rlwinm  r16, r16, 0, 0, 0
        check   iir/thre, r14, 2
        check   iir/none, r15, 1
        check   sr/cleared, r16, 0
        # Without the UART's own enable nothing comes
        li      r21, 0
        stb     r21, IER(r20)
        dcr     UIC_SR, IN_UART0
        catch   2f
        wrteei  1
        nop
        nop
2:      wrteei  0
        caught  external/off, NONE

        # Critical routing: CR sends it to the critical input, which CE masks
        li      r21, IER_THRE
        stb     r21, IER(r20)
        dcr     UIC_CR, IN_UART0
        catch   2f
        wrteei  1
        nop
        nop
2:      wrteei  0
        caught  critical/ee, NONE
        catch   2f
        load32  r14, MSR_CE | MSR_ME | MSR_EE
1:      mtmsr   r14
        nop
        nop
2:      nop
        caught  critical, V_CRITICAL, srr0=1b + 4, srr1=MSR_CE | MSR_ME | MSR_EE, msr=MSR_ME
        li      r14, 0
        mtmsr   r14
        dcr     UIC_CR, 0
        li      r21, 0
        stb     r21, IER(r20)
        dcr     UIC_ER, 0
        dcr     UIC_SR, 0xFFFFFFFF

        # Software sets an input that no device drives
        dcr     UIC_SRS, 0x00001000
        mfdcr   r14, UIC_SR
        check   srs/sr, r14, 0x00001000
        dcr     UIC_ER, 0x00001000
        catch   2f
1:      wrteei  1
        nop
2:      wrteei  0
        caught  srs, V_EXTERNAL, srr0=1b + 4
        dcr     UIC_SR, 0x00001000
        mfdcr   r14, UIC_SR
        check   srs/cleared, r14, 0
        dcr     UIC_ER, 0
        b       finish
