#! summary: code that is written while it runs: patched loops, copied functions, other mappings, dcbst and icbi
#! checks: 20
#! privileged: no
        .include "lib.inc.s"

        .set    CODE, SCRATCH + 0x20000
        .set    LI_R14, 0x39C00000      # li r14, n
        .set    BLR, 0x4E800020
        .set    EA, 0x40000000

        # sync: makes the word at r4 visible to instruction fetch
        .macro  sync_code
        dcbst   0, r4
        msync
        icbi    0, r4
        msync
        isync
        .endm

        # call: runs the function at CODE
        .macro  call_code
        load32  r5, CODE
        mtctr   r5
        bctrl
        .endm

main:   # A function is written, run, changed in one word and run again, a thousand times
        load32  r4, CODE
        load32  r5, BLR
        stw     r5, 4(r4)
        li      r20, 1000
        li      r21, 0
1:      load32  r4, CODE
        load32  r5, LI_R14
        or      r5, r5, r20
        stw     r5, 0(r4)
        sync_code
        call_code
        xor     r14, r14, r20
        or      r21, r21, r14
        addi    r20, r20, -1
        cmpwi   r20, 0
        bne     1b
        check   rewritten, r21, 0

        # A byte and a halfword of an instruction
        load32  r4, CODE
        load32  r5, LI_R14 | 0x1234
        stw     r5, 0(r4)
        sync_code
        call_code
        check   word, r14, 0x1234
        load32  r4, CODE
        li      r5, 0x56
        stb     r5, 3(r4)
        sync_code
        call_code
        check   byte, r14, 0x1256
        load32  r4, CODE
        li      r5, 0x7777
        sth     r5, 2(r4)
        sync_code
        call_code
        check   half, r14, 0x7777
        # Stores of other kinds
        load32  r4, CODE
        load32  r30, LI_R14 | 0x21
        load32  r31, BLR
        stmw    r30, 0(r4)
        sync_code
        call_code
        check   stmw, r14, 0x21
        load32  r4, CODE
        load32  r30, LI_R14 | 0x22
        stswi   r30, r4, 4
        sync_code
        call_code
        check   stswi, r14, 0x22
        load32  r4, CODE
        load32  r6, 0x2300C039          # byte-reversed
        li      r5, 0
        stwbrx  r6, r4, r5
        sync_code
        call_code
        check   stwbrx, r14, 0x23
        load32  r4, CODE
        load32  r6, LI_R14 | 0x24
2:      lwarx   r5, 0, r4
        stwcx.  r6, 0, r4
        bne     2b
        sync_code
        call_code
        check   stwcx, r14, 0x24
        # dcbz clears a line of code: the word becomes illegal
        load32  r4, CODE
        dcbz    0, r4
        sync_code
        catch   3f
        call_code
3:      caught  dcbz, V_PROGRAM, srr0=CODE

        # The instruction after next is patched by the running code itself, in its own page
        li      r20, 5
        li      r21, 0
4:      load32  r4, 5f
        load32  r5, 0x3AB50000          # addi r21, r21, n
        or      r5, r5, r20
        stw     r5, 0(r4)
        sync_code
5:      addi    r21, r21, 100
        addi    r20, r20, -1
        cmpwi   r20, 0
        bne     4b
        check   own-page, r21, 15

        # A loop that is patched from inside, once, on its third round
        li      r20, 0
        li      r21, 0
6:      addi    r21, r21, 1
7:      addi    r21, r21, 10
        addi    r20, r20, 1
        cmpwi   r20, 3
        bne     8f
        load32  r4, 7b
        load32  r5, 0x60000000
        stw     r5, 0(r4)
        sync_code
8:      cmpwi   r20, 6
        bne     6b
        check   loop, r21, 36

        # Through another mapping of the same real page
        load32  r4, CODE
        load32  r5, LI_R14 | 1
        stw     r5, 0(r4)
        load32  r5, BLR
        stw     r5, 4(r4)
        sync_code
        set_tlb 5, EA | TLB_V | SIZE_4K, CODE, SR | SW | SX
        call_code
        check   alias/before, r14, 1
        load32  r4, EA
        load32  r5, LI_R14 | 2
        stw     r5, 0(r4)
        sync_code
        call_code
        check   alias/after, r14, 2
        load32  r5, EA
        mtctr   r5
        bctrl
        check   alias/run-there, r14, 2
        load32  r4, CODE
        load32  r5, LI_R14 | 3
        stw     r5, 0(r4)
        sync_code
        load32  r5, EA
        mtctr   r5
        bctrl
        check   alias/other-way, r14, 3
        # The mapping moves to another page with other code
        load32  r4, CODE + 0x1000
        load32  r5, LI_R14 | 4
        stw     r5, 0(r4)
        load32  r5, BLR
        stw     r5, 4(r4)
        sync_code
        set_tlb 5, EA | TLB_V | SIZE_4K, CODE + 0x1000, SR | SX
        load32  r5, EA
        mtctr   r5
        bctrl
        check   remapped, r14, 4

        # A function that crosses a page, its second half replaced
        load32  r4, CODE + 0xFFC
        load32  r5, LI_R14 | 5
        stw     r5, 0(r4)
        load32  r5, 0x39CE0006          # addi r14, r14, 6
        stw     r5, 4(r4)
        load32  r5, BLR
        stw     r5, 8(r4)
        sync_code
        addi    r4, r4, 4
        sync_code
        load32  r5, CODE + 0xFFC
        mtctr   r5
        bctrl
        check   cross-page/before, r14, 11
        load32  r4, CODE + 0x1000
        load32  r5, 0x39CE0007
        stw     r5, 0(r4)
        sync_code
        load32  r5, CODE + 0xFFC
        mtctr   r5
        bctrl
        check   cross-page/after, r14, 12
        # Data beside code, in the page and in the very line
        li      r20, 100
        li      r21, 0
9:      load32  r4, CODE
        stw     r20, 0x20(r4)
        stw     r20, 8(r4)
        call_code
        add     r21, r21, r14
        addi    r20, r20, -1
        cmpwi   r20, 0
        bne     9b
        check   data-beside, r21, 300
        b       finish
