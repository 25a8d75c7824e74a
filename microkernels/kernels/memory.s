#! summary: loads and stores of all widths and forms, byte reversal, multiple and string instructions
#! checks: 149
#! privileged: no
        .include "lib.inc.s"

        .set    AREA, SCRATCH           # filled with 0x80, 0x81, ... before each load
        .set    COPY, SCRATCH + 0x400   # target of stores

        # load NAME, INSTRUCTION, WANT: r4 = AREA + 16, r5 = 7; the instruction loads r14
        .macro  load name, want, wantr4, insn:vararg
        load32  r4, AREA + 16
        li      r5, 7
        li      r14, -1
        \insn
        mr      r15, r4
        check   \name, r14, \want
        .ifnb   \wantr4
        load32  r14, AREA + 16
        subf    r15, r14, r15
        check   \name/ra, r15, \wantr4
        .endif
        .endm

        # store NAME, WANT WORD 0, WANT WORD 1, WANT WORD 2, WANT R4 - COPY, INSTRUCTION: r4 = COPY + 4, r5 = 3,
        # r14 = 0x01020304; the three words from COPY were 0xEE..EE
        .macro  store name, w0, w1, w2, wantr4, insn:vararg
        load32  r4, COPY
        load32  r14, 0xEEEEEEEE
        stw     r14, 0(r4)
        stw     r14, 4(r4)
        stw     r14, 8(r4)
        addi    r4, r4, 4
        li      r5, 3
        load32  r14, 0x01020304
        \insn
        load32  r14, COPY
        subf    r15, r14, r4
        check_word \name/0, COPY, \w0
        check_word \name/4, COPY + 4, \w1
        check_word \name/8, COPY + 8, \w2
        check   \name/ra, r15, \wantr4
        .endm

main:   load32  r4, AREA
        li      r5, 0
1:      addi    r6, r5, 0x80
        stbx    r6, r4, r5
        addi    r5, r5, 1
        cmpwi   r5, 64
        blt     1b

        # Loads; the word at AREA + 16 is 0x90919293
        load    lbz, 0x92, , lbz r14, 2(r4)
        load    lbz/negative, 0x8f, , lbz r14, -1(r4)
        load    lbzu, 0x92, 2, lbzu r14, 2(r4)
        load    lbzx, 0x97, , lbzx r14, r4, r5
        load    lbzux, 0x97, 7, lbzux r14, r4, r5
        load    lhz, 0x9091, , lhz r14, 0(r4)
        load    lhz/odd, 0x9192, , lhz r14, 1(r4)
        load    lhzu, 0x8e8f, 0xfffffffe, lhzu r14, -2(r4)
        load    lhzx, 0x9798, , lhzx r14, r4, r5
        load    lhzux, 0x9798, 7, lhzux r14, r4, r5
        load    lha, 0xffff9091, , lha r14, 0(r4)
        load    lhau, 0xffff9293, 2, lhau r14, 2(r4)
        load    lhax, 0xffff9798, , lhax r14, r4, r5
        load    lhaux, 0xffff9798, 7, lhaux r14, r4, r5
        load    lwz, 0x90919293, , lwz r14, 0(r4)
        load    lwz/1, 0x91929394, , lwz r14, 1(r4)
        load    lwz/2, 0x92939495, , lwz r14, 2(r4)
        load    lwz/3, 0x93949596, , lwz r14, 3(r4)
        load    lwz/crosses-16, 0x9e9fa0a1, , lwz r14, 14(r4)
        load    lwzu, 0x8c8d8e8f, 0xfffffffc, lwzu r14, -4(r4)
        load    lwzx, 0x9798999a, , lwzx r14, r4, r5
        load    lwzux, 0x9798999a, 7, lwzux r14, r4, r5
        load    lhbrx, 0x9897, , lhbrx r14, r4, r5
        load    lwbrx, 0x9a999897, , lwbrx r14, r4, r5
        load    lwzx/ra0, 0x90919293, , lwzx r14, 0, r4
        load    lwz/rt-is-ra, 0xffffffff, , lwz r4, 4(r4)
        load32  r4, AREA
        lwz     r4, 4(r4)
        check   lwz/into-base, r4, 0x84858687
        li      r3, 5
        stb     r3, 0(r3)               # low memory: RA = 0 in d(0) is the number 0
        lbz     r14, 5(0)
        check   lbz/ra0, r14, 5

        # Stores
        store   stb, 0xeeeeeeee, 0xee04eeee, 0xeeeeeeee, 4, stb r14, 1(r4)
        store   stbu, 0xeeeeee04, 0xeeeeeeee, 0xeeeeeeee, 3, stbu r14, -1(r4)
        store   stbx, 0xeeeeeeee, 0xeeeeee04, 0xeeeeeeee, 4, stbx r14, r4, r5
        store   stbux, 0xeeeeeeee, 0xeeeeee04, 0xeeeeeeee, 7, stbux r14, r4, r5
        store   sth, 0xeeeeeeee, 0xee0304ee, 0xeeeeeeee, 4, sth r14, 1(r4)
        store   sthu, 0xeeeeeeee, 0xeeee0304, 0xeeeeeeee, 6, sthu r14, 2(r4)
        store   sthx, 0xeeeeeeee, 0xeeeeee03, 0x04eeeeee, 4, sthx r14, r4, r5
        store   sthux, 0xeeeeeeee, 0xeeeeee03, 0x04eeeeee, 7, sthux r14, r4, r5
        store   stw, 0xeeeeeeee, 0x01020304, 0xeeeeeeee, 4, stw r14, 0(r4)
        store   stw/unaligned, 0xeeeeeeee, 0xee010203, 0x04eeeeee, 4, stw r14, 1(r4)
        store   stwu, 0x01020304, 0xeeeeeeee, 0xeeeeeeee, 0, stwu r14, -4(r4)
        store   stwx, 0xeeeeeeee, 0xeeeeee01, 0x020304ee, 4, stwx r14, r4, r5
        store   stwux, 0xeeeeeeee, 0xeeeeee01, 0x020304ee, 7, stwux r14, r4, r5
        store   sthbrx, 0xeeeeeeee, 0xeeeeee04, 0x03eeeeee, 4, sthbrx r14, r4, r5
        store   stwbrx, 0xeeeeeeee, 0xeeeeee04, 0x030201ee, 4, stwbrx r14, r4, r5
        store   stwx/ra0, 0xeeeeeeee, 0x01020304, 0xeeeeeeee, 4, stwx r14, 0, r4
        load32  r4, COPY
        stwu    r4, 8(r4)               # the old base is stored
        check_word stwu/base, COPY + 8, COPY

        # Multiple
        load32  r4, AREA + 4
        lmw     r26, 4(r4)
        check   lmw/26, r26, 0x88898a8b
        check   lmw/29, r29, 0x94959697
        check   lmw/31, r31, 0x9c9d9e9f
        load32  r4, AREA + 1
        lmw     r30, 0(r4)
        check   lmw/unaligned, r31, 0x85868788
        load32  r29, 0x11111111
        load32  r30, 0x22222222
        load32  r31, 0x33333333
        load32  r4, COPY
        stmw    r29, 0(r4)
        check_word stmw/0, COPY, 0x11111111
        check_word stmw/4, COPY + 4, 0x22222222
        check_word stmw/8, COPY + 8, 0x33333333
        load32  r4, COPY + 2
        stmw    r30, 0(r4)
        check_word stmw/unaligned, COPY + 4, 0x22223333

        # Strings: bytes fill registers from the left, the rest of the last one is cleared, r31 is followed by r0
        load32  r4, AREA + 1
        li      r14, -1
        li      r15, -1
        lswi    r14, r4, 5
        check   lswi/5/0, r14, 0x81828384
        check   lswi/5/1, r15, 0x85000000
        load32  r4, AREA
        li      r15, -1
        lswi    r14, r4, 4
        check   lswi/4/0, r14, 0x80818283
        check   lswi/4/1, r15, 0xffffffff
        load32  r4, AREA
        lswi    r31, r4, 6
        mr      r14, r0
        check   lswi/wraps/31, r31, 0x80818283
        check   lswi/wraps/0, r14, 0x84850000
        load32  r4, AREA
        lswi    r14, r4, 32
        check   lswi/32/0, r14, 0x80818283
        check   lswi/32/7, r21, 0x9c9d9e9f
        load32  r4, AREA
        lswi    r20, 4, 1
        check   lswi/1, r20, 0x80000000
        .macro  lsw name, count, want0, want1
        load32  r14, 0xE0000000 + \count
        mtxer   r14
        load32  r4, AREA
        li      r5, 3
        li      r14, -1
        li      r15, -1
        lswx    r14, r4, r5
        check   \name/0, r14, \want0
        check   \name/1, r15, \want1
        .endm
        lsw     lswx/1, 1, 0x83000000, 0xffffffff
        lsw     lswx/4, 4, 0x83848586, 0xffffffff
        lsw     lswx/7, 7, 0x83848586, 0x87888900
        li      r14, 0
        mtxer   r14
        li      r14, 0x77               # a count of zero touches nothing, not even a bad address
        li      r5, 0
        lis     r4, 0x7000
        lswx    r15, r4, r5
        check   lswx/0, r14, 0x77
        li      r14, 107                # the longest that leaves RA and RB alone: r6-r31 and three bytes of r0
        mtxer   r14
        load32  r4, AREA
        li      r5, 0
        lswx    r6, r4, r5
        mr      r14, r0
        check   lswx/107/31, r31, 0
        check   lswx/107/0, r14, 0
        li      r14, 0
        mtxer   r14

        .macro  ssw name, w0, w1, insn:vararg
        load32  r4, COPY
        load32  r14, 0xEEEEEEEE
        stw     r14, 0(r4)
        stw     r14, 4(r4)
        load32  r31, 0x31323334
        load32  r0, 0x00010203
        li      r5, 1
        \insn
        check_word \name/0, COPY, \w0
        check_word \name/4, COPY + 4, \w1
        .endm
        ssw     stswi/3, 0x313233ee, 0xeeeeeeee, stswi r31, r4, 3
        ssw     stswi/7, 0x31323334, 0x000102ee, stswi r31, r4, 7
        li      r14, 2
        mtxer   r14
        ssw     stswx/2, 0xee3132ee, 0xeeeeeeee, stswx r31, r4, r5
        li      r14, 6
        mtxer   r14
        ssw     stswx/6, 0xee313233, 0x340001ee, stswx r31, r4, r5
        li      r14, 0
        mtxer   r14
        ssw     stswx/0, 0xeeeeeeee, 0xeeeeeeee, stswx r31, r4, r5

        # dcbz clears the 32 bytes around its address
        load32  r4, COPY
        li      r5, 0
        li      r6, -1
2:      stwx    r6, r4, r5
        addi    r5, r5, 4
        cmpwi   r5, 96
        blt     2b
        addi    r4, r4, 32 + 17
        dcbz    0, r4
        check_word dcbz/before, COPY + 28, 0xffffffff
        check_word dcbz/first, COPY + 32, 0
        check_word dcbz/last, COPY + 60, 0
        check_word dcbz/after, COPY + 64, 0xffffffff

        # Reservations
        load32  r4, COPY
        li      r5, 5
        stw     r5, 0(r4)
        stwcx.  r6, 0, r4               # clears what reservation there may be
        li      r6, 6
        lwarx   r14, 0, r4
        check   lwarx, r14, 5
        load32  r4, COPY
        li      r6, 6
        li      r7, 0
        mtcr    r7
        lwarx   r14, 0, r4
        stwcx.  r6, 0, r4
        mfcr    r14
        check   stwcx/held, r14, 0x20000000
        check_word stwcx/held/memory, COPY, 6
        load32  r4, COPY
        li      r6, 7
        lis     r7, 0x8000
        mtxer   r7
        stwcx.  r6, 0, r4
        mfcr    r14
        check   stwcx/gone, r14, 0x10000000
        check_word stwcx/gone/memory, COPY, 6
        li      r7, 0
        mtxer   r7
        load32  r4, COPY
        lwarx   r14, 0, r4
        lwarx   r14, 0, r4
        stwcx.  r6, 0, r4
        stwcx.  r6, 0, r4
        mfcr    r14
        check   stwcx/once, r14, 0
        load32  r4, COPY
        lwarx   r14, 0, r4              # a store of one's own to the word leaves the reservation in place
        li      r6, 8
        stw     r6, 0(r4)
        li      r6, 9
        stwcx.  r6, 0, r4
        mfcr    r14
        check   stwcx/own-store, r14, 0x20000000
        check_word stwcx/own-store/memory, COPY, 9
        b       finish
