# What every microkernel is linked with: start-up, exception recording, checks, the console.
#
# Entered as a board's loader enters a kernel: at its physical address, MSR 0, under some 1:1 mapping.
# Registers: checks and output routines change r0, r3-r12, lr, ctr and cr; macros marked so change r11 and r12.
# A kernel defines `main` and ends with `b finish`.

        .set    BASE, 0x00100000        # image; also IVPR
        .set    UART, 0xEF600300
        .set    SCRATCH, 0x00200000     # RAM that kernels may use freely, up to 0x00800000

        # MSR bits
        .set    MSR_WE, 0x00040000
        .set    MSR_CE, 0x00020000
        .set    MSR_EE, 0x8000
        .set    MSR_PR, 0x4000
        .set    MSR_FP, 0x2000
        .set    MSR_ME, 0x1000
        .set    MSR_FE0, 0x0800
        .set    MSR_DWE, 0x0400
        .set    MSR_DE, 0x0200
        .set    MSR_FE1, 0x0100
        .set    MSR_IS, 0x0020
        .set    MSR_DS, 0x0010

        # Interrupts, by IVOR number
        .set    V_CRITICAL, 0
        .set    V_MCHECK, 1
        .set    V_DSI, 2
        .set    V_ISI, 3
        .set    V_EXTERNAL, 4
        .set    V_ALIGN, 5
        .set    V_PROGRAM, 6
        .set    V_FP, 7
        .set    V_SC, 8
        .set    V_APU, 9
        .set    V_DEC, 10
        .set    V_FIT, 11
        .set    V_WDT, 12
        .set    V_DTLB, 13
        .set    V_ITLB, 14
        .set    V_DEBUG, 15
        .set    NONE, 0xFFFFFFFF        # no interrupt was taken

        # ESR bits
        .set    ESR_PIL, 0x08000000
        .set    ESR_PPR, 0x04000000
        .set    ESR_PTR, 0x02000000
        .set    ESR_FP, 0x01000000
        .set    ESR_ST, 0x00800000
        .set    ESR_BO, 0x00020000

        # TLB words
        .set    TLB_V, 0x200
        .set    TLB_TS, 0x100
        .set    SIZE_1K, 0x00
        .set    SIZE_4K, 0x10
        .set    SIZE_16K, 0x20
        .set    SIZE_64K, 0x30
        .set    SIZE_256K, 0x40
        .set    SIZE_1M, 0x50
        .set    SIZE_16M, 0x70
        .set    SIZE_256M, 0x90
        .set    TLB_W, 0x800
        .set    TLB_I, 0x400
        .set    TLB_M, 0x200
        .set    TLB_G, 0x100
        .set    TLB_E, 0x80
        .set    UX, 0x20
        .set    UW, 0x10
        .set    UR, 0x08
        .set    SX, 0x04
        .set    SW, 0x02
        .set    SR, 0x01
        .set    ALL, 0x3F

        .macro  load32 reg, value
        lis     \reg, (\value)@h
        ori     \reg, \reg, (\value)@l
        .endm

        # check NAME, REGISTER, WANT
        .macro  check name:req, got:req, want:req
        mr      r3, \got
        load32  r4, \want
        bl      check_value
        .asciz  "\name"
        .align  2
        .endm

        # check_word NAME, ADDRESS, WANT: the word in memory there
        .macro  check_word name:req, address:req, want:req
        lis     r3, (\address)@ha
        lwz     r3, (\address)@l(r3)
        load32  r4, \want
        bl      check_value
        .asciz  "\name"
        .align  2
        .endm

        # catch LABEL: the next interrupt is recorded and execution goes on at LABEL with MSR = exc_return_msr.
        # Changes r11, r12.
        .macro  catch label:req
        lis     r11, exc@ha
        addi    r11, r11, exc@l
        load32  r12, \label
        stw     r12, EXC_RESUME(r11)
        li      r12, -1
        stw     r12, EXC_VECTOR(r11)
        .endm

        # caught NAME, VECTOR [, srr0=] [, srr1=] [, esr=] [, dear=] [, msr=]: what the last interrupt recorded.
        # For critical interrupts srr0 and srr1 are CSRR0 and CSRR1; msr is the MSR that the handler found.
        .macro  caught name:req, vector:req, srr0, srr1, esr, dear, msr
        bl      catch_end
        check_word \name/vector, exc + EXC_VECTOR, \vector
        .ifnb   \srr0
        check_word \name/srr0, exc + EXC_SRR0, \srr0
        .endif
        .ifnb   \srr1
        check_word \name/srr1, exc + EXC_SRR1, \srr1
        .endif
        .ifnb   \esr
        check_word \name/esr, exc + EXC_ESR, \esr
        .endif
        .ifnb   \dear
        check_word \name/dear, exc + EXC_DEAR, \dear
        .endif
        .ifnb   \msr
        check_word \name/msr, exc + EXC_MSR, \msr
        .endif
        .endm

        # set_tlb INDEX, WORD0, WORD1, WORD2 [, TID]: writes an entry, invalid while it changes. Changes r11, r12.
        .macro  set_tlb index, word0, word1, word2, tid=0
        li      r11, \index
        li      r12, 0
        tlbwe   r12, r11, 0
        load32  r12, \word1
        tlbwe   r12, r11, 1
        load32  r12, \word2
        tlbwe   r12, r11, 2
        li      r12, \tid
        mtmmucr r12
        load32  r12, \word0
        tlbwe   r12, r11, 0
        li      r12, 0
        mtmmucr r12
        isync
        .endm

        .macro  clear_tlb index
        li      r11, \index
        li      r12, 0
        tlbwe   r12, r11, 0
        isync
        .endm

        # enter MSR, LABEL: goes to LABEL with that MSR. Changes r11, r12.
        .macro  enter msr:req, label:req
        load32  r12, \label
        mtsrr0  r12
        load32  r12, \msr
        mtsrr1  r12
        rfi
        .endm

        # Fields of the exception record
        .set    EXC_VECTOR, 0
        .set    EXC_SRR0, 4
        .set    EXC_SRR1, 8
        .set    EXC_ESR, 12
        .set    EXC_DEAR, 16
        .set    EXC_MSR, 20             # in the handler
        .set    EXC_RESUME, 24          # 0: an interrupt is unexpected
        .set    EXC_RETURN_MSR, 28
        .set    EXC_HOOK, 32            # not 0: called instead, with r30 and r31 to spare; ends in exc_retry
        .set    EXC_COUNT, 36
        .set    EXC_CR, 40

        .org    BASE
        b       startup

        # Vectors, 0x20 apart from BASE + 0x100.
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        .org    BASE + 0x100 + \n * 0x20
        .if     \n == V_CRITICAL || \n == V_WDT || \n == V_DEBUG
        mtsprg  2, r30
        li      r30, \n
        b       critical_interrupt
        .elseif \n == V_MCHECK
        mtsprg  2, r30
        li      r30, \n
        b       critical_interrupt
        .else
        mtsprg  0, r30
        li      r30, \n
        b       interrupt
        .endif
        .endr
        .org    BASE + 0x300

exc:    .space  48
checks: .long   0

interrupt:
        mtsprg  1, r31
        lis     r31, exc@ha
        addi    r31, r31, exc@l
        stw     r30, EXC_VECTOR(r31)
        mfcr    r30
        stw     r30, EXC_CR(r31)
        mfsrr0  r30
        stw     r30, EXC_SRR0(r31)
        mfsrr1  r30
        stw     r30, EXC_SRR1(r31)
        mfesr   r30
        stw     r30, EXC_ESR(r31)
        mfdear  r30
        stw     r30, EXC_DEAR(r31)
        mfmsr   r30
        stw     r30, EXC_MSR(r31)
        lwz     r30, EXC_COUNT(r31)
        addi    r30, r30, 1
        stw     r30, EXC_COUNT(r31)
        lwz     r30, EXC_HOOK(r31)
        cmpwi   r30, 0
        beq     1f
        mtsrr0  r30                     # a hook runs with the handler's MSR
        mfmsr   r30
        mtsrr1  r30
        rfi
1:      lwz     r30, EXC_RESUME(r31)
        cmpwi   r30, 0
        beq     unexpected
        mtsrr0  r30
        lwz     r30, EXC_RETURN_MSR(r31)
        mtsrr1  r30
        li      r30, 0
        stw     r30, EXC_RESUME(r31)
        b       2f
exc_retry:                              # executes the interrupted instruction again
        lis     r31, exc@ha
        addi    r31, r31, exc@l
        lwz     r30, EXC_SRR0(r31)
        mtsrr0  r30
        lwz     r30, EXC_SRR1(r31)
        mtsrr1  r30
2:      lwz     r30, EXC_CR(r31)
        mtcr    r30
        mfsprg  r30, 0
        mfsprg  r31, 1
        rfi

critical_interrupt:
        mtsprg  3, r31
        lis     r31, exc@ha
        addi    r31, r31, exc@l
        stw     r30, EXC_VECTOR(r31)
        mfcr    r30
        stw     r30, EXC_CR(r31)
        mfcsrr0 r30
        stw     r30, EXC_SRR0(r31)
        mfcsrr1 r30
        stw     r30, EXC_SRR1(r31)
        mfesr   r30
        stw     r30, EXC_ESR(r31)
        mfdear  r30
        stw     r30, EXC_DEAR(r31)
        mfmsr   r30
        stw     r30, EXC_MSR(r31)
        lwz     r30, EXC_COUNT(r31)
        addi    r30, r30, 1
        stw     r30, EXC_COUNT(r31)
        lwz     r30, EXC_RESUME(r31)
        cmpwi   r30, 0
        beq     unexpected
        mtcsrr0 r30
        lwz     r30, EXC_RETURN_MSR(r31)
        mtcsrr1 r30
        li      r30, 0
        stw     r30, EXC_RESUME(r31)
        lwz     r30, EXC_CR(r31)
        mtcr    r30
        mfsprg  r30, 2
        mfsprg  r31, 3
        rfci

        # An interrupt that no check waits for ends the run: FAIL unexpected got=VECTOR want=FFFFFFFF at=SRR0.
unexpected:
        lis     r12, text_unexpected@ha
        addi    r4, r12, text_unexpected@l
        bl      puts
        lis     r12, exc@ha
        lwz     r5, exc@l + EXC_VECTOR(r12)
        bl      puthex
        lis     r12, text_at@ha
        addi    r4, r12, text_at@l
        bl      puts
        lis     r12, exc@ha
        lwz     r5, exc@l + EXC_SRR0(r12)
        bl      puthex
        bl      newline
        bl      count_check
        b       finish

        # Forgets a catch that caught nothing.
catch_end:
        li      r12, 0
        lis     r11, exc@ha
        stw     r12, exc@l + EXC_RESUME(r11)
        blr

        # Takes over the TLB. The new mapping is entered through the other address space, so that no address is
        # ever mapped twice. Entry 63: RAM, 256 MB 1:1. Entry 62: the page of UART0. All others invalid.
startup:
        li      r3, 0
        mtspr   pid, r3
        mtmmucr r3
        bl      1f
1:      mflr    r4
        tlbsx   r5, 0, r4               # the entry that we run under
        li      r6, 0
        li      r7, 0
2:      cmpw    r6, r5
        beq     3f
        tlbwe   r7, r6, 0
3:      addi    r6, r6, 1
        cmpwi   r6, 64
        blt     2b
        isync
        cntlzw  r6, r5                  # entry 0, or 1 if that is ours
        srwi    r6, r6, 5
        li      r8, 0
        tlbwe   r8, r6, 1
        li      r8, SX | SW | SR
        tlbwe   r8, r6, 2
        li      r8, TLB_V | TLB_TS | SIZE_256M
        tlbwe   r8, r6, 0
        isync
        enter   MSR_IS | MSR_DS, 4f
4:      li      r7, 0                   # now in address space 1: everything but our entry may go
        li      r9, 0
5:      cmpw    r9, r6
        beq     6f
        tlbwe   r7, r9, 0
6:      addi    r9, r9, 1
        cmpwi   r9, 64
        blt     5b
        li      r10, 63
        li      r8, 0
        tlbwe   r8, r10, 1
        li      r8, ALL
        tlbwe   r8, r10, 2
        li      r8, TLB_V | SIZE_256M
        tlbwe   r8, r10, 0
        isync
        enter   0, 7f
7:      tlbwe   r7, r6, 0               # address space 1 goes; r7 is still 0
        set_tlb 62, UART & 0xFFFFFC00 | TLB_V | SIZE_4K, UART & 0xFFFFFC00, TLB_I | TLB_G | UR | UW | SR | SW
        # Vectors
        load32  r3, BASE
        mtivpr  r3
        .set    ivor, 0
        .rept   16
        li      r3, 0x100 + ivor * 0x20
        mtspr   400 + ivor, r3
        .set    ivor, ivor + 1
        .endr
        li      r3, 0
        mttcr   r3
        lis     r3, 0xFFFF
        ori     r3, r3, 0xFFFF
        mttsr   r3
        li      r3, 0
        mtdbcr0 r3
        mtxer   r3
        # UART0: 115200 8N1 of an 11.0592 MHz clock, no FIFO, no interrupts
        load32  r4, UART
        li      r3, 0x83
        stb     r3, 3(r4)
        li      r3, 6
        stb     r3, 0(r4)
        li      r3, 0
        stb     r3, 1(r4)
        li      r3, 3
        stb     r3, 3(r4)
        li      r3, 0
        stb     r3, 1(r4)
        stb     r3, 2(r4)
        b       main

        # check_value: r3 got, r4 want, the name follows the call.
check_value:
        mflr    r12
        mr      r6, r3
        mr      r11, r4
        cmplw   r6, r11
        bne     1f
        lis     r4, text_ok@ha
        addi    r4, r4, text_ok@l
        bl      puts
        mr      r4, r12
        bl      puts
        mr      r12, r4
        b       2f
1:      lis     r4, text_fail@ha
        addi    r4, r4, text_fail@l
        bl      puts
        mr      r4, r12
        bl      puts
        mr      r12, r4
        bl      put_got_want
2:      bl      newline
        bl      count_check
        addi    r12, r12, 3
        clrrwi  r12, r12, 2
        mtlr    r12
        blr

        # " got=" r6 " want=" r11
put_got_want:
        mflr    r0
        lis     r4, text_got@ha
        addi    r4, r4, text_got@l
        bl      puts
        mr      r5, r6
        bl      puthex
        lis     r4, text_want@ha
        addi    r4, r4, text_want@l
        bl      puts
        mr      r5, r11
        bl      puthex
        mtlr    r0
        blr

count_check:
        lis     r9, checks@ha
        lwz     r10, checks@l(r9)
        addi    r10, r10, 1
        stw     r10, checks@l(r9)
        blr

        # Prints "done N" and resets the system, which ends the run.
finish:
        li      r3, 0
        mtmsr   r3
        isync
        lis     r4, text_done@ha
        addi    r4, r4, text_done@l
        bl      puts
        lis     r5, checks@ha
        lwz     r5, checks@l(r5)
        li      r6, 10
        lis     r4, digits_end@ha
        addi    r4, r4, digits_end@l
1:      divwu   r7, r5, r6
        mullw   r8, r7, r6
        subf    r8, r8, r5
        addi    r8, r8, 48
        stb     r8, -1(r4)
        addi    r4, r4, -1
        mr      r5, r7
        cmpwi   r5, 0
        bne     1b
        bl      puts
        bl      newline
        load32  r9, UART                # until the last character has left
2:      lbz     r10, 5(r9)
        andi.   r10, r10, 0x40
        beq     2b
        lis     r3, 0x3000
        mtdbcr0 r3
3:      b       3b

        # putc: r3. Changes r9, r10, cr0.
putc:   load32  r9, UART
1:      lbz     r10, 5(r9)
        andi.   r10, r10, 0x20
        beq     1b
        stb     r3, 0(r9)
        blr

newline:
        li      r3, 10
        b       putc

        # puts: text at r4, which is left past the final zero. Changes r3, r8.
puts:   mflr    r8
1:      lbz     r3, 0(r4)
        addi    r4, r4, 1
        cmpwi   r3, 0
        beq     2f
        bl      putc
        b       1b
2:      mtlr    r8
        blr

        # puthex: r5 in eight digits. Changes r3, r5, r7, r8.
puthex: mflr    r8
        li      r7, 8
1:      rotlwi  r5, r5, 4
        andi.   r3, r5, 15
        cmpwi   r3, 10
        blt     2f
        addi    r3, r3, 7
2:      addi    r3, r3, 48
        bl      putc
        addi    r7, r7, -1
        cmpwi   r7, 0
        bne     1b
        mtlr    r8
        blr

text_ok:        .asciz  "ok "
text_fail:      .asciz  "FAIL "
text_got:       .asciz  " got="
text_want:      .asciz  " want="
text_unexpected: .asciz "FAIL unexpected got="
text_at:        .asciz  " want=FFFFFFFF at="
text_done:      .asciz  "done "
digits:         .space  10
digits_end:     .byte   0
        .align  2
