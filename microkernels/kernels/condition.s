#! summary: condition register logic, XER moves, every form of conditional branch, link register
#! checks: 339
#! privileged: no
        .include "lib.inc.s"

        # bc_case NAME, CTR, CR, BO, WANT CTR, WANT TAKEN: tests CR bit 9
        .macro  bc_case name, ctr, cr, bo, wantctr, taken
        load32  r14, \ctr
        mtctr   r14
        load32  r14, \cr
        mtcr    r14
        li      r14, 1
        bc      \bo, 9, 1f
        li      r14, 0
1:      mfctr   r15
        check   \name, r14, \taken
        check   \name/ctr, r15, \wantctr
        .endm

        .macro  bclr_case name, ctr, cr, bo, wantctr, taken
        load32  r14, \ctr
        mtctr   r14
        load32  r14, \cr
        mtcr    r14
        load32  r14, 1f + 3             # the two low bits of LR do not count
        mtlr    r14
        li      r14, 1
        bclrl   \bo, 9
        li      r14, 0
1:      mflr    r16
        mfctr   r15
        check   \name, r14, \taken
        check   \name/ctr, r15, \wantctr
        load32  r17, 1b - 4             # LR gets the next address, taken or not
        subf    r16, r17, r16
        check   \name/lr, r16, 0
        .endm

        .macro  bcctr_case name, cr, bo, taken
        load32  r14, 1f + 2
        mtctr   r14
        load32  r14, \cr
        mtcr    r14
        li      r14, 1
        bcctrl  \bo, 9
        li      r14, 0
1:      mflr    r16
        check   \name, r14, \taken
        load32  r17, 1b - 4
        subf    r16, r17, r16
        check   \name/lr, r16, 0
        .endm

main:
        # Logic on CR bits: bit 5 = bit 30 op bit 2, all four inputs, the target both ways
        load32  r14, 0x0e0f0f09
        mtcr    r14
        crand 5, 30, 2
        mfcr    r14
        check   crand/00, r14, 0x0a0f0f09
        load32  r14, 0x2e0f0f09
        mtcr    r14
        crand 5, 30, 2
        mfcr    r14
        check   crand/01, r14, 0x2a0f0f09
        load32  r14, 0x0e0f0f0b
        mtcr    r14
        crand 5, 30, 2
        mfcr    r14
        check   crand/10, r14, 0x0a0f0f0b
        load32  r14, 0x2a0f0f0b
        mtcr    r14
        crand 5, 30, 2
        mfcr    r14
        check   crand/11, r14, 0x2e0f0f0b
        load32  r14, 0x0e0f0f09
        mtcr    r14
        crandc 5, 30, 2
        mfcr    r14
        check   crandc/00, r14, 0x0a0f0f09
        load32  r14, 0x2e0f0f09
        mtcr    r14
        crandc 5, 30, 2
        mfcr    r14
        check   crandc/01, r14, 0x2a0f0f09
        load32  r14, 0x0a0f0f0b
        mtcr    r14
        crandc 5, 30, 2
        mfcr    r14
        check   crandc/10, r14, 0x0e0f0f0b
        load32  r14, 0x2e0f0f0b
        mtcr    r14
        crandc 5, 30, 2
        mfcr    r14
        check   crandc/11, r14, 0x2a0f0f0b
        load32  r14, 0x0a0f0f09
        mtcr    r14
        creqv 5, 30, 2
        mfcr    r14
        check   creqv/00, r14, 0x0e0f0f09
        load32  r14, 0x2e0f0f09
        mtcr    r14
        creqv 5, 30, 2
        mfcr    r14
        check   creqv/01, r14, 0x2a0f0f09
        load32  r14, 0x0e0f0f0b
        mtcr    r14
        creqv 5, 30, 2
        mfcr    r14
        check   creqv/10, r14, 0x0a0f0f0b
        load32  r14, 0x2a0f0f0b
        mtcr    r14
        creqv 5, 30, 2
        mfcr    r14
        check   creqv/11, r14, 0x2e0f0f0b
        load32  r14, 0x0a0f0f09
        mtcr    r14
        crnand 5, 30, 2
        mfcr    r14
        check   crnand/00, r14, 0x0e0f0f09
        load32  r14, 0x2a0f0f09
        mtcr    r14
        crnand 5, 30, 2
        mfcr    r14
        check   crnand/01, r14, 0x2e0f0f09
        load32  r14, 0x0a0f0f0b
        mtcr    r14
        crnand 5, 30, 2
        mfcr    r14
        check   crnand/10, r14, 0x0e0f0f0b
        load32  r14, 0x2e0f0f0b
        mtcr    r14
        crnand 5, 30, 2
        mfcr    r14
        check   crnand/11, r14, 0x2a0f0f0b
        load32  r14, 0x0a0f0f09
        mtcr    r14
        crnor 5, 30, 2
        mfcr    r14
        check   crnor/00, r14, 0x0e0f0f09
        load32  r14, 0x2e0f0f09
        mtcr    r14
        crnor 5, 30, 2
        mfcr    r14
        check   crnor/01, r14, 0x2a0f0f09
        load32  r14, 0x0e0f0f0b
        mtcr    r14
        crnor 5, 30, 2
        mfcr    r14
        check   crnor/10, r14, 0x0a0f0f0b
        load32  r14, 0x2e0f0f0b
        mtcr    r14
        crnor 5, 30, 2
        mfcr    r14
        check   crnor/11, r14, 0x2a0f0f0b
        load32  r14, 0x0e0f0f09
        mtcr    r14
        cror 5, 30, 2
        mfcr    r14
        check   cror/00, r14, 0x0a0f0f09
        load32  r14, 0x2a0f0f09
        mtcr    r14
        cror 5, 30, 2
        mfcr    r14
        check   cror/01, r14, 0x2e0f0f09
        load32  r14, 0x0a0f0f0b
        mtcr    r14
        cror 5, 30, 2
        mfcr    r14
        check   cror/10, r14, 0x0e0f0f0b
        load32  r14, 0x2a0f0f0b
        mtcr    r14
        cror 5, 30, 2
        mfcr    r14
        check   cror/11, r14, 0x2e0f0f0b
        load32  r14, 0x0a0f0f09
        mtcr    r14
        crorc 5, 30, 2
        mfcr    r14
        check   crorc/00, r14, 0x0e0f0f09
        load32  r14, 0x2e0f0f09
        mtcr    r14
        crorc 5, 30, 2
        mfcr    r14
        check   crorc/01, r14, 0x2a0f0f09
        load32  r14, 0x0a0f0f0b
        mtcr    r14
        crorc 5, 30, 2
        mfcr    r14
        check   crorc/10, r14, 0x0e0f0f0b
        load32  r14, 0x2a0f0f0b
        mtcr    r14
        crorc 5, 30, 2
        mfcr    r14
        check   crorc/11, r14, 0x2e0f0f0b
        load32  r14, 0x0e0f0f09
        mtcr    r14
        crxor 5, 30, 2
        mfcr    r14
        check   crxor/00, r14, 0x0a0f0f09
        load32  r14, 0x2a0f0f09
        mtcr    r14
        crxor 5, 30, 2
        mfcr    r14
        check   crxor/01, r14, 0x2e0f0f09
        load32  r14, 0x0a0f0f0b
        mtcr    r14
        crxor 5, 30, 2
        mfcr    r14
        check   crxor/10, r14, 0x0e0f0f0b
        load32  r14, 0x2e0f0f0b
        mtcr    r14
        crxor 5, 30, 2
        mfcr    r14
        check   crxor/11, r14, 0x2a0f0f0b

        # Whole fields
        load32  r14, 0x12345678
        mtcr    r14
        mcrf cr7, cr0
        mfcr    r14
        check   mcrf/up, r14, 0x12345671
        load32  r14, 0x12345678
        mtcr    r14
        mcrf cr3, cr3
        mfcr    r14
        check   mcrf/same, r14, 0x12345678
        load32  r14, 0x12345678
        mtcr    r14
        mcrf cr0, cr7
        mfcr    r14
        check   mcrf/down, r14, 0x82345678
        load32  r14, 0x12345678
        mtcr    r14
        load32 r15, 0x9abcdef0
        mtcrf 0x0, r15
        mfcr    r14
        check   mtcrf/00, r14, 0x12345678
        load32  r14, 0x12345678
        mtcr    r14
        load32 r15, 0x9abcdef0
        mtcrf 0x1, r15
        mfcr    r14
        check   mtcrf/01, r14, 0x12345670
        load32  r14, 0x12345678
        mtcr    r14
        load32 r15, 0x9abcdef0
        mtcrf 0x80, r15
        mfcr    r14
        check   mtcrf/80, r14, 0x92345678
        load32  r14, 0x12345678
        mtcr    r14
        load32 r15, 0x9abcdef0
        mtcrf 0x55, r15
        mfcr    r14
        check   mtcrf/55, r14, 0x1a3c5e70
        load32  r14, 0x12345678
        mtcr    r14
        load32 r15, 0x9abcdef0
        mtcrf 0xff, r15
        mfcr    r14
        check   mtcrf/ff, r14, 0x9abcdef0

        # mcrxr moves SO, OV, CA to a field and clears them; the byte count stays
        load32  r14, 0x11111111
        mtcr    r14
        load32 r15, 0x0
        mtxer r15
        mcrxr cr4
        mfxer r16
        li r15, 0
        mtxer r15
        mfcr    r14
        check   mcrxr/0, r14, 0x11110111
        check   mcrxr/0/xer, r16, 0x0
        load32  r14, 0x11111111
        mtcr    r14
        load32 r15, 0x80000000
        mtxer r15
        mcrxr cr4
        mfxer r16
        li r15, 0
        mtxer r15
        mfcr    r14
        check   mcrxr/8, r14, 0x11118111
        check   mcrxr/8/xer, r16, 0x0
        load32  r14, 0x11111111
        mtcr    r14
        load32 r15, 0x40000000
        mtxer r15
        mcrxr cr4
        mfxer r16
        li r15, 0
        mtxer r15
        mfcr    r14
        check   mcrxr/4, r14, 0x11114111
        check   mcrxr/4/xer, r16, 0x0
        load32  r14, 0x11111111
        mtcr    r14
        load32 r15, 0x20000000
        mtxer r15
        mcrxr cr4
        mfxer r16
        li r15, 0
        mtxer r15
        mfcr    r14
        check   mcrxr/2, r14, 0x11112111
        check   mcrxr/2/xer, r16, 0x0
        load32  r14, 0x11111111
        mtcr    r14
        load32 r15, 0xe000007f
        mtxer r15
        mcrxr cr4
        mfxer r16
        li r15, 0
        mtxer r15
        mfcr    r14
        check   mcrxr/e, r14, 0x1111e111
        check   mcrxr/e/xer, r16, 0x7f

        # mtxer keeps SO, OV, CA and the byte count
        li      r14, -1
        mtxer   r14
        mfxer   r14
        check   mtxer/ones, r14, 0xe000007f
        li      r14, 0
        mtxer   r14
        mfxer   r14
        check   mtxer/zero, r14, 0

        # Branches: every BO with the condition true and false, CTR at 2, 1 and 0; r14 = taken, CTR after
        bc_case bc/0/0/2, 2, 0xffbfffff, 0, 0x1, 1
        bclr_case bclr/0/0/2, 2, 0xffbfffff, 0, 0x1, 1
        bc_case bc/0/0/1, 1, 0xffbfffff, 0, 0x0, 0
        bclr_case bclr/0/0/1, 1, 0xffbfffff, 0, 0x0, 0
        bc_case bc/0/0/0, 0, 0xffbfffff, 0, 0xffffffff, 1
        bclr_case bclr/0/0/0, 0, 0xffbfffff, 0, 0xffffffff, 1
        bc_case bc/0/1/2, 2, 0x00400000, 0, 0x1, 0
        bclr_case bclr/0/1/2, 2, 0x00400000, 0, 0x1, 0
        bc_case bc/0/1/1, 1, 0x00400000, 0, 0x0, 0
        bclr_case bclr/0/1/1, 1, 0x00400000, 0, 0x0, 0
        bc_case bc/0/1/0, 0, 0x00400000, 0, 0xffffffff, 0
        bclr_case bclr/0/1/0, 0, 0x00400000, 0, 0xffffffff, 0
        bc_case bc/2/0/2, 2, 0xffbfffff, 2, 0x1, 0
        bclr_case bclr/2/0/2, 2, 0xffbfffff, 2, 0x1, 0
        bc_case bc/2/0/1, 1, 0xffbfffff, 2, 0x0, 1
        bclr_case bclr/2/0/1, 1, 0xffbfffff, 2, 0x0, 1
        bc_case bc/2/0/0, 0, 0xffbfffff, 2, 0xffffffff, 0
        bclr_case bclr/2/0/0, 0, 0xffbfffff, 2, 0xffffffff, 0
        bc_case bc/2/1/2, 2, 0x00400000, 2, 0x1, 0
        bclr_case bclr/2/1/2, 2, 0x00400000, 2, 0x1, 0
        bc_case bc/2/1/1, 1, 0x00400000, 2, 0x0, 0
        bclr_case bclr/2/1/1, 1, 0x00400000, 2, 0x0, 0
        bc_case bc/2/1/0, 0, 0x00400000, 2, 0xffffffff, 0
        bclr_case bclr/2/1/0, 0, 0x00400000, 2, 0xffffffff, 0
        bc_case bc/4/0/2, 2, 0xffbfffff, 4, 0x2, 1
        bclr_case bclr/4/0/2, 2, 0xffbfffff, 4, 0x2, 1
        bc_case bc/4/0/1, 1, 0xffbfffff, 4, 0x1, 1
        bclr_case bclr/4/0/1, 1, 0xffbfffff, 4, 0x1, 1
        bc_case bc/4/0/0, 0, 0xffbfffff, 4, 0x0, 1
        bclr_case bclr/4/0/0, 0, 0xffbfffff, 4, 0x0, 1
        bc_case bc/4/1/2, 2, 0x00400000, 4, 0x2, 0
        bclr_case bclr/4/1/2, 2, 0x00400000, 4, 0x2, 0
        bc_case bc/4/1/1, 1, 0x00400000, 4, 0x1, 0
        bclr_case bclr/4/1/1, 1, 0x00400000, 4, 0x1, 0
        bc_case bc/4/1/0, 0, 0x00400000, 4, 0x0, 0
        bclr_case bclr/4/1/0, 0, 0x00400000, 4, 0x0, 0
        bc_case bc/8/0/2, 2, 0xffbfffff, 8, 0x1, 0
        bclr_case bclr/8/0/2, 2, 0xffbfffff, 8, 0x1, 0
        bc_case bc/8/0/1, 1, 0xffbfffff, 8, 0x0, 0
        bclr_case bclr/8/0/1, 1, 0xffbfffff, 8, 0x0, 0
        bc_case bc/8/0/0, 0, 0xffbfffff, 8, 0xffffffff, 0
        bclr_case bclr/8/0/0, 0, 0xffbfffff, 8, 0xffffffff, 0
        bc_case bc/8/1/2, 2, 0x00400000, 8, 0x1, 1
        bclr_case bclr/8/1/2, 2, 0x00400000, 8, 0x1, 1
        bc_case bc/8/1/1, 1, 0x00400000, 8, 0x0, 0
        bclr_case bclr/8/1/1, 1, 0x00400000, 8, 0x0, 0
        bc_case bc/8/1/0, 0, 0x00400000, 8, 0xffffffff, 1
        bclr_case bclr/8/1/0, 0, 0x00400000, 8, 0xffffffff, 1
        bc_case bc/10/0/2, 2, 0xffbfffff, 10, 0x1, 0
        bclr_case bclr/10/0/2, 2, 0xffbfffff, 10, 0x1, 0
        bc_case bc/10/0/1, 1, 0xffbfffff, 10, 0x0, 0
        bclr_case bclr/10/0/1, 1, 0xffbfffff, 10, 0x0, 0
        bc_case bc/10/0/0, 0, 0xffbfffff, 10, 0xffffffff, 0
        bclr_case bclr/10/0/0, 0, 0xffbfffff, 10, 0xffffffff, 0
        bc_case bc/10/1/2, 2, 0x00400000, 10, 0x1, 0
        bclr_case bclr/10/1/2, 2, 0x00400000, 10, 0x1, 0
        bc_case bc/10/1/1, 1, 0x00400000, 10, 0x0, 1
        bclr_case bclr/10/1/1, 1, 0x00400000, 10, 0x0, 1
        bc_case bc/10/1/0, 0, 0x00400000, 10, 0xffffffff, 0
        bclr_case bclr/10/1/0, 0, 0x00400000, 10, 0xffffffff, 0
        bc_case bc/12/0/2, 2, 0xffbfffff, 12, 0x2, 0
        bclr_case bclr/12/0/2, 2, 0xffbfffff, 12, 0x2, 0
        bc_case bc/12/0/1, 1, 0xffbfffff, 12, 0x1, 0
        bclr_case bclr/12/0/1, 1, 0xffbfffff, 12, 0x1, 0
        bc_case bc/12/0/0, 0, 0xffbfffff, 12, 0x0, 0
        bclr_case bclr/12/0/0, 0, 0xffbfffff, 12, 0x0, 0
        bc_case bc/12/1/2, 2, 0x00400000, 12, 0x2, 1
        bclr_case bclr/12/1/2, 2, 0x00400000, 12, 0x2, 1
        bc_case bc/12/1/1, 1, 0x00400000, 12, 0x1, 1
        bclr_case bclr/12/1/1, 1, 0x00400000, 12, 0x1, 1
        bc_case bc/12/1/0, 0, 0x00400000, 12, 0x0, 1
        bclr_case bclr/12/1/0, 0, 0x00400000, 12, 0x0, 1
        bc_case bc/16/0/2, 2, 0xffbfffff, 16, 0x1, 1
        bclr_case bclr/16/0/2, 2, 0xffbfffff, 16, 0x1, 1
        bc_case bc/16/0/1, 1, 0xffbfffff, 16, 0x0, 0
        bclr_case bclr/16/0/1, 1, 0xffbfffff, 16, 0x0, 0
        bc_case bc/16/0/0, 0, 0xffbfffff, 16, 0xffffffff, 1
        bclr_case bclr/16/0/0, 0, 0xffbfffff, 16, 0xffffffff, 1
        bc_case bc/16/1/2, 2, 0x00400000, 16, 0x1, 1
        bclr_case bclr/16/1/2, 2, 0x00400000, 16, 0x1, 1
        bc_case bc/16/1/1, 1, 0x00400000, 16, 0x0, 0
        bclr_case bclr/16/1/1, 1, 0x00400000, 16, 0x0, 0
        bc_case bc/16/1/0, 0, 0x00400000, 16, 0xffffffff, 1
        bclr_case bclr/16/1/0, 0, 0x00400000, 16, 0xffffffff, 1
        bc_case bc/18/0/2, 2, 0xffbfffff, 18, 0x1, 0
        bclr_case bclr/18/0/2, 2, 0xffbfffff, 18, 0x1, 0
        bc_case bc/18/0/1, 1, 0xffbfffff, 18, 0x0, 1
        bclr_case bclr/18/0/1, 1, 0xffbfffff, 18, 0x0, 1
        bc_case bc/18/0/0, 0, 0xffbfffff, 18, 0xffffffff, 0
        bclr_case bclr/18/0/0, 0, 0xffbfffff, 18, 0xffffffff, 0
        bc_case bc/18/1/2, 2, 0x00400000, 18, 0x1, 0
        bclr_case bclr/18/1/2, 2, 0x00400000, 18, 0x1, 0
        bc_case bc/18/1/1, 1, 0x00400000, 18, 0x0, 1
        bclr_case bclr/18/1/1, 1, 0x00400000, 18, 0x0, 1
        bc_case bc/18/1/0, 0, 0x00400000, 18, 0xffffffff, 0
        bclr_case bclr/18/1/0, 0, 0x00400000, 18, 0xffffffff, 0
        bc_case bc/20/0/2, 2, 0xffbfffff, 20, 0x2, 1
        bclr_case bclr/20/0/2, 2, 0xffbfffff, 20, 0x2, 1
        bc_case bc/20/0/1, 1, 0xffbfffff, 20, 0x1, 1
        bclr_case bclr/20/0/1, 1, 0xffbfffff, 20, 0x1, 1
        bc_case bc/20/0/0, 0, 0xffbfffff, 20, 0x0, 1
        bclr_case bclr/20/0/0, 0, 0xffbfffff, 20, 0x0, 1
        bc_case bc/20/1/2, 2, 0x00400000, 20, 0x2, 1
        bclr_case bclr/20/1/2, 2, 0x00400000, 20, 0x2, 1
        bc_case bc/20/1/1, 1, 0x00400000, 20, 0x1, 1
        bclr_case bclr/20/1/1, 1, 0x00400000, 20, 0x1, 1
        bc_case bc/20/1/0, 0, 0x00400000, 20, 0x0, 1
        bclr_case bclr/20/1/0, 0, 0x00400000, 20, 0x0, 1
        bcctr_case bcctr/4/0, 0xffbfffff, 4, 1
        bcctr_case bcctr/4/1, 0x00400000, 4, 0
        bcctr_case bcctr/12/0, 0xffbfffff, 12, 0
        bcctr_case bcctr/12/1, 0x00400000, 12, 1
        bcctr_case bcctr/20/0, 0xffbfffff, 20, 1
        bcctr_case bcctr/20/1, 0x00400000, 20, 1

        # Unconditional branches, link and absolute forms
        bl      1f
1:      mflr    r14
        load32  r15, 1b
        subf    r14, r15, r14
        check   bl/lr, r14, 0
        bcl     20, 31, 2f
2:      mflr    r14
        load32  r15, 2b
        subf    r14, r15, r14
        check   bcl/lr, r14, 0
        li      r14, 0
        ba      3f
        li      r14, 1
3:      check   ba, r14, 0
        li      r14, 0
        bla     4f
5:      li      r14, 1
4:      check   bla, r14, 0
        li      r14, 0
        b       7f
6:      li      r14, 7
        b       8f
7:      b       6b
8:      check   b/backwards, r14, 7
        b       finish
