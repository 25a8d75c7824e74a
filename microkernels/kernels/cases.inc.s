# One instruction with chosen inputs, compared in its result, XER and CR.

        # case NAME, R3, R4, R5, XER, WANT R3, WANT XER, WANT CR, INSTRUCTION
        .macro  case name:req, acc:req, a:req, b:req, xer:req, want:req, wantxer:req, wantcr:req, insn:vararg
        load32  r6, \xer
        mtxer   r6
        li      r6, 0
        mtcr    r6
        load32  r3, \acc
        load32  r4, \a
        load32  r5, \b
        \insn
        bl      check_case
        .long   \want, \wantxer, \wantcr
        .asciz  "\name"
        .align  2
        .endm

        # case_xer NAME, R4, R5, XER, WANT XER, INSTRUCTION: r3 and CR are undefined afterwards
        .macro  case_xer name:req, a:req, b:req, xer:req, wantxer:req, insn:vararg
        load32  r6, \xer
        mtxer   r6
        load32  r4, \a
        load32  r5, \b
        \insn
        li      r3, 0
        mtcr    r3
        bl      check_case
        .long   0, \wantxer, 0
        .asciz  "\name"
        .align  2
        .endm

        # check_case: r3, XER and CR against the three words after the call; the name follows them.
check_case:
        mfxer   r4
        mfcr    r5
        mflr    r12
        lwz     r11, 0(r12)
        mr      r6, r3
        lis     r7, text_in_r3@ha
        addi    r7, r7, text_in_r3@l
        cmplw   r6, r11
        bne     1f
        lwz     r11, 4(r12)
        mr      r6, r4
        lis     r7, text_in_xer@ha
        addi    r7, r7, text_in_xer@l
        cmplw   r6, r11
        bne     1f
        lwz     r11, 8(r12)
        mr      r6, r5
        lis     r7, text_in_cr@ha
        addi    r7, r7, text_in_cr@l
        cmplw   r6, r11
        bne     1f
        lis     r4, text_ok@ha
        addi    r4, r4, text_ok@l
        bl      puts
        addi    r4, r12, 12
        bl      puts
        mr      r12, r4
        b       2f
1:      lis     r5, case_where@ha
        stw     r7, case_where@l(r5)
        lis     r4, text_fail@ha
        addi    r4, r4, text_fail@l
        bl      puts
        addi    r4, r12, 12
        bl      puts
        mr      r12, r4
        bl      put_got_want
        lis     r4, case_where@ha
        lwz     r4, case_where@l(r4)
        bl      puts
2:      bl      newline
        bl      count_check
        addi    r12, r12, 3
        clrrwi  r12, r12, 2
        mtlr    r12
        blr

case_where:     .long   0
text_in_r3:     .asciz  " in r3"
text_in_xer:    .asciz  " in XER"
text_in_cr:     .asciz  " in CR"
        .align  2
