#! summary: little-endian pages (TLB attribute E): data of all widths, strings, code
#! checks: 21
        .include "lib.inc.s"

        .set    EA, 0x40000000
        .set    PA, SCRATCH + 0x40000

main:   load32  r4, PA
        load32  r5, 0x01020304
        stw     r5, 0(r4)
        load32  r5, 0x05060708
        stw     r5, 4(r4)
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, TLB_E | SR | SW | SX
        load32  r4, EA
        lwz     r14, 0(r4)
        lhz     r15, 0(r4)
        lbz     r16, 1(r4)
        lha     r17, 6(r4)
        lwz     r18, 1(r4)
        li      r5, 0
        lwbrx   r19, r4, r5
        lhbrx   r20, r4, r5
        check   lwz, r14, 0x04030201
        check   lhz, r15, 0x0201
        check   lbz, r16, 0x02
        check   lha, r17, 0x0807
        check   lwz/unaligned, r18, 0x05040302
        check   lwbrx, r19, 0x01020304
        check   lhbrx, r20, 0x0102
        # Multiples are words; strings are bytes and keep their order
        load32  r4, EA
        lmw     r30, 0(r4)
        lswi    r20, r4, 6
        check   lmw/30, r30, 0x04030201
        check   lmw/31, r31, 0x08070605
        check   lswi/0, r20, 0x01020304
        check   lswi/1, r21, 0x05060000
        # Stores
        load32  r4, EA
        load32  r5, 0xA1B2C3D4
        stw     r5, 0x10(r4)
        sth     r5, 0x16(r4)
        stb     r5, 0x14(r4)
        li      r6, 0x18
        stwbrx  r5, r4, r6
        check_word stw, PA + 0x10, 0xD4C3B2A1
        load32  r4, PA
        lhz     r14, 0x16(r4)
        check   sth, r14, 0xD4C3
        check_word stwbrx, PA + 0x18, 0xA1B2C3D4
        # lwarx and stwcx.
        load32  r4, EA
        lwarx   r14, 0, r4
        addi    r15, r14, 1
        stwcx.  r15, 0, r4
        check   lwarx, r14, 0x04030201
        check_word stwcx, PA, 0x02020304
        # Floating point
        load32  r5, MSR_FP
        mtmsr   r5
        isync
        load32  r4, EA
        load32  r5, PA
        load32  r6, 0x11223344
        stw     r6, 0x20(r5)
        load32  r6, 0x55667788
        stw     r6, 0x24(r5)
        lfd     f1, 0x20(r4)
        stfd    f1, 0x28(r5)
        stfd    f1, 0x30(r4)
        li      r6, 0
        mtmsr   r6
        check_word lfd/high, PA + 0x28, 0x88776655
        check_word lfd/low, PA + 0x2C, 0x44332211
        check_word stfd/high, PA + 0x30, 0x11223344
        # Code in a little-endian page
        load32  r4, PA + 0x100
        load32  r5, 0x2A00C039          # li r14, 42 with its bytes reversed
        stw     r5, 0(r4)
        load32  r5, 0x2000804E          # blr
        stw     r5, 4(r4)
        dcbst   0, r4
        msync
        icbi    0, r4
        isync
        load32  r5, EA + 0x100
        mtctr   r5
        catch   1f
        li      r14, 0
        bctrl
1:      mr      r20, r14
        caught  code, NONE
        check   code/result, r20, 42
        b       finish
