#! summary: TLB entries: page sizes, TID and PID, address spaces, tlbre, tlbsx, MMUCR, replaced and invalid entries
#! checks: 113
        .include "lib.inc.s"

        .set    EA, 0x40000000          # nothing is mapped here at first
        .set    PA, SCRATCH

        # size NAME, SIZE CODE, SHIFT: the first and last word of a page of 2^SHIFT bytes are mapped, the words
        # before and after are not. The page is mapped to a real page of the same size below 256 MB; the words
        # that are read lie in RAM or, for large pages, are only tested for being mapped at all.
        .macro  size name, code, shift
        set_tlb 5, EA | TLB_V | \code, SIZED_PA, SR | SW
        load32  r4, EA
        li      r14, 0
        catch   1f
        lwz     r14, 0(r4)
1:      caught  \name/first, NONE
        load32  r4, EA + (1 << \shift) - 4
        catch   2f
        dcbt    0, r4
        lwz     r14, 0(r4)
2:      caught  \name/last, NONE
        load32  r4, EA + (1 << \shift)
        catch   3f
        lwz     r14, 0(r4)
3:      caught  \name/after, V_DTLB, dear=EA + (1 << \shift)
        load32  r4, EA - 4
        catch   4f
        lwz     r14, 0(r4)
4:      caught  \name/before, V_DTLB, dear=EA - 4
        .endm

        # Pages above 4 MB start at real address 0: only what is mapped counts, no device is touched.
        .set    SIZED_PA, 0

        .set    round, 0
main:   size    1k, SIZE_1K, 10
        size    4k, SIZE_4K, 12
        size    16k, SIZE_16K, 14
        size    64k, SIZE_64K, 16
        size    256k, SIZE_256K, 18
        size    1m, SIZE_1M, 20
        size    16m, SIZE_16M, 24
        size    256m, SIZE_256M, 28
        clear_tlb 5

        # The real address is RPN with the offset in the page: 64 KB page, last word
        load32  r4, PA + 0xFFFC
        load32  r5, 0xCAFE0001
        stw     r5, 0(r4)
        set_tlb 5, EA | TLB_V | SIZE_64K, PA, SR | SW
        load32  r4, EA + 0xFFFC
        lwz     r14, 0(r4)
        check   offset, r14, 0xCAFE0001
        # RPN bits below the page size do not count
        set_tlb 5, EA | TLB_V | SIZE_64K, PA | 0x0000F000, SR | SW
        load32  r4, EA + 0xFFFC
        lwz     r14, 0(r4)
        check   rpn-low-bits, r14, 0xCAFE0001
        # EPN bits below the page size do not count either
        set_tlb 5, EA | 0x4000 | TLB_V | SIZE_64K, PA, SR | SW
        load32  r4, EA + 0xFFFC
        li      r14, 0
        catch   1f
        lwz     r14, 0(r4)
1:      caught  epn-low-bits, NONE
        # 1 KB pages: four neighbours with four real pages
        .irp    n, 0, 1, 2, 3
        load32  r4, PA + 0x8000 + \n * 0x1000
        li      r5, 0x11 + \n
        stw     r5, 8(r4)
        set_tlb 5 + \n, EA + \n * 0x400 | TLB_V | SIZE_1K, PA + 0x8000 + \n * 0x1000, SR | SW
        .endr
        .irp    n, 0, 1, 2, 3
        load32  r4, EA + \n * 0x400 + 8
        lwz     r14, 0(r4)
        check   1k/neighbour\n, r14, 0x11 + \n
        .endr
        clear_tlb 6
        clear_tlb 7
        clear_tlb 8

        # Unsupported size codes are not tried: what they do is not specified.

        # TID: an entry with TID 7 is seen with PID 7 only, one with TID 0 with every PID
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SR | SW, 7
        load32  r4, EA
        catch   1f
        lwz     r14, 0(r4)
1:      caught  tid/pid0, V_DTLB
        li      r5, 7
        mtpid   r5
        isync
        load32  r4, EA
        catch   1f
        lwz     r14, 0(r4)
1:      caught  tid/pid7, NONE
        mfpid   r14
        check   pid, r14, 7
        li      r5, 8
        mtpid   r5
        isync
        load32  r4, EA
        catch   1f
        lwz     r14, 0(r4)
1:      caught  tid/pid8, V_DTLB
        li      r5, 0x107
        mtpid   r5                      # PID has eight bits
        isync
        mfpid   r14
        check   pid/width, r14, 7
        li      r5, 0
        mtpid   r5
        isync
        # Two entries of the same address for two PIDs
        load32  r4, PA
        li      r5, 100
        stw     r5, 0(r4)
        load32  r4, PA + 0x1000
        li      r5, 101
        stw     r5, 0(r4)
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SR | SW, 1
        set_tlb 6, EA | TLB_V | SIZE_4K, PA + 0x1000, SR | SW, 2
        .irp    pid, 1, 2, 1
        li      r5, \pid
        mtpid   r5
        isync
        load32  r4, EA
        lwz     r14, 0(r4)
        .set    round, round + 1
        .if     round == 1
        check   two-pids/first, r14, 100
        .elseif round == 2
        check   two-pids/second, r14, 101
        .else
        check   two-pids/again, r14, 100
        .endif
        .endr
        li      r5, 0
        mtpid   r5
        isync
        clear_tlb 6

        # Address spaces: MSR[DS] picks TS for data, MSR[IS] for instructions
        set_tlb 5, EA | TLB_V | TLB_TS | SIZE_4K, PA, SR | SW
        load32  r4, EA
        catch   1f
        lwz     r14, 0(r4)
1:      caught  ts1/ds0, V_DTLB
        load32  r4, EA
        li      r14, 0
        li      r5, MSR_DS
        mtmsr   r5
        isync
        lwz     r14, 0(r4)
        li      r5, 0
        mtmsr   r5
        isync
        check   ts1/ds1, r14, 100
        # A fetch in address space 1 needs an entry there
        catch   2f
        enter   MSR_IS, 1f
1:      nop
2:      caught  is1/unmapped, V_ITLB, srr0=1b, srr1=MSR_IS
        load32  r4, EA
        li      r5, MSR_DS              # an interrupt returns to address space 0
        catch   3f
        mtmsr   r5
        isync
        lwz     r14, 4(r4)
        sc
3:      caught  ds1/sc, V_SC, srr1=MSR_DS, msr=0

        # tlbre gives back what was written; bits that do not exist read 0; TID goes to MMUCR[STID]
        set_tlb 9, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0x5A
        li      r20, 9
        li      r6, 0
        mtmmucr r6
        tlbre   r14, r20, 0
        mfmmucr r15
        tlbre   r16, r20, 1
        tlbre   r17, r20, 2
        check   tlbre/0, r14, 0xFFFFFFF0
        check   tlbre/stid, r15, 0x5A
        check   tlbre/1, r16, 0xFFFFFC0F
        check   tlbre/2, r17, 0x0000FFBF
        li      r6, 0
        mtmmucr r6
        set_tlb 9, 0, 0, 0
        tlbre   r14, r20, 0
        check   tlbre/zero, r14, 0
        # The index comes from the low six bits
        set_tlb 9, 0x50000200, PA, 0
        li      r20, 9 + 64
        tlbre   r14, r20, 0
        check   tlbre/index, r14, 0x50000200
        # tlbwe of words 1 and 2 leaves TID alone, word 0 sets it
        li      r6, 0x33
        mtmmucr r6
        li      r20, 9
        load32  r6, PA
        tlbwe   r6, r20, 1
        li      r6, 0
        mtmmucr r6
        tlbre   r14, r20, 0
        mfmmucr r15
        check   tlbwe/word1-keeps-tid, r15, 0
        li      r6, 0x33
        mtmmucr r6
        load32  r6, 0x50000200
        tlbwe   r6, r20, 0
        li      r6, 0
        mtmmucr r6
        tlbre   r14, r20, 0
        mfmmucr r15
        check   tlbwe/word0-sets-tid, r15, 0x33
        # tlbre of word 0 replaces STID only
        load32  r6, 0x00010011
        mtmmucr r6
        tlbre   r14, r20, 0
        mfmmucr r15
        check   tlbre/keeps-sts, r15, 0x00010033
        li      r6, 0
        mtmmucr r6
        clear_tlb 9

        # tlbsx: hit gives the index, the dot form CR0[EQ]
        .macro  search name, mmucr, ea, index, cr
        load32  r5, \mmucr
        mtmmucr r5
        li      r14, -1
        lis     r5, 0x8000              # SO goes along
        mtxer   r5
        load32  r4, \ea
        tlbsx.  r14, 0, r4
        mfcr    r15
        li      r5, 0
        mtmmucr r5
        mtxer   r5
        rlwinm  r15, r15, 0, 0, 3
        check   \name/cr, r15, \cr
        .if     \cr & 0x20000000
        check   \name, r14, \index
        .endif
        .endm
        set_tlb 10, EA | TLB_V | SIZE_16K, PA, SR, 5
        set_tlb 11, EA | TLB_V | TLB_TS | SIZE_16K, PA, SR, 5
        set_tlb 12, EA + 0x100000 | TLB_V | SIZE_4K, PA, 0, 0
        set_tlb 5, 0, 0, 0
        search  tlbsx/hit, 5, EA + 0x3FFC, 10, 0x30000000
        search  tlbsx/other-tid, 6, EA, 0, 0x10000000
        search  tlbsx/sts, 0x00010005, EA, 11, 0x30000000
        search  tlbsx/beyond, 5, EA + 0x4000, 0, 0x10000000
        search  tlbsx/tid0, 0x77, EA + 0x100FFF, 12, 0x30000000
        load32  r4, EA
        li      r5, 0x2000
        li      r6, 5
        mtmmucr r6
        tlbsx   r14, r4, r5             # RA + RB
        check   tlbsx/ra-rb, r14, 10
        li      r6, 0
        mtmmucr r6
        # PID plays no part in a search
        li      r6, 9
        mtpid   r6
        isync
        search  tlbsx/pid, 5, EA, 10, 0x30000000
        li      r6, 0
        mtpid   r6
        isync
        clear_tlb 10
        clear_tlb 11
        clear_tlb 12

        # A change is seen after the next context synchronisation: real page, permission, size, TID, V
        load32  r4, PA
        li      r5, 100
        stw     r5, 0(r4)
        stw     r5, 4(r4)
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SR | SW
        load32  r4, EA
        lwz     r14, 0(r4)
        check   change/before, r14, 100
        li      r5, 5
        load32  r6, PA + 0x1000
        tlbwe   r6, r5, 1
        isync
        load32  r4, EA
        lwz     r14, 0(r4)
        check   change/rpn, r14, 101
        load32  r4, EA
        li      r5, 5
        li      r6, SR
        tlbwe   r6, r5, 2
        isync
        catch   1f
        stw     r14, 0(r4)
1:      caught  change/permission, V_DSI, dear=EA
        set_tlb 5, EA | TLB_V | SIZE_16K, PA, SR | SW
        load32  r4, EA + 0x3000
        lwz     r14, 0(r4)
        li      r5, 5
        load32  r6, EA | TLB_V | SIZE_4K
        tlbwe   r6, r5, 0
        isync
        load32  r4, EA + 0x3000
        catch   1f
        lwz     r14, 0(r4)
1:      caught  change/shrink, V_DTLB, dear=EA + 0x3000
        load32  r4, EA
        lwz     r14, 0(r4)
        li      r6, 3
        mtmmucr r6
        li      r5, 5
        load32  r6, EA | TLB_V | SIZE_4K
        tlbwe   r6, r5, 0
        li      r6, 0
        mtmmucr r6
        isync
        load32  r4, EA
        catch   1f
        lwz     r14, 0(r4)
1:      caught  change/tid, V_DTLB, dear=EA
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SR | SW
        load32  r4, EA
        lwz     r14, 0(r4)
        li      r5, 5
        load32  r6, EA | TLB_V | TLB_TS | SIZE_4K
        tlbwe   r6, r5, 0
        isync
        load32  r4, EA
        catch   1f
        lwz     r14, 0(r4)
1:      caught  change/ts, V_DTLB, dear=EA
        # A global entry that is replaced while PID is not 0
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SR | SW
        load32  r4, EA
        lwz     r14, 0(r4)
        li      r5, 3
        mtpid   r5
        isync
        lwz     r14, 0(r4)
        li      r5, 5
        li      r6, 0
        tlbwe   r6, r5, 0
        isync
        load32  r4, EA
        catch   1f
        lwz     r14, 0(r4)
1:      caught  change/global-under-pid, V_DTLB, dear=EA
        li      r5, 0
        mtpid   r5
        isync
        load32  r4, EA
        catch   1f
        lwz     r14, 0(r4)
1:      caught  change/global-under-pid0, V_DTLB, dear=EA
        # One that is replaced under another PID while its own is away
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SR | SW, 4
        li      r5, 4
        mtpid   r5
        isync
        load32  r4, EA
        lwz     r14, 0(r4)
        li      r5, 3
        mtpid   r5
        isync
        li      r5, 5
        li      r6, 0
        tlbwe   r6, r5, 0
        li      r5, 4
        mtpid   r5
        isync
        load32  r4, EA
        catch   1f
        lwz     r14, 0(r4)
1:      caught  change/away, V_DTLB, dear=EA
        li      r5, 0
        mtpid   r5
        isync

        # The order of Linux: words 1, 0, 2, over a valid entry of another page
        set_tlb 5, EA | TLB_V | SIZE_4K, PA, SR | SW
        load32  r4, EA
        lwz     r14, 0(r4)
        li      r5, 5
        load32  r6, PA + 0x1000
        tlbwe   r6, r5, 1
        load32  r6, EA + 0x5000 | TLB_V | SIZE_4K
        tlbwe   r6, r5, 0
        li      r6, SR
        tlbwe   r6, r5, 2
        isync
        load32  r4, EA + 0x5000
        lwz     r14, 0(r4)
        check   linux-order/new, r14, 101
        load32  r4, EA
        catch   1f
        lwz     r14, 0(r4)
1:      caught  linux-order/old, V_DTLB, dear=EA

        # All 64 entries work, each with a page of its own
        .set    n, 0
        .rept   62
        set_tlb n, EA + n * 0x1000 | TLB_V | SIZE_4K, PA + n * 0x1000, SR | SW
        .set    n, n + 1
        .endr
        load32  r4, EA
        li      r5, 62
        mtctr   r5
        li      r5, 0
1:      stw     r5, 0(r4)
        addi    r5, r5, 1
        addi    r4, r4, 0x1000
        bdnz    1b
        load32  r4, PA
        li      r5, 62
        mtctr   r5
        li      r5, 0
        li      r14, 0
2:      lwz     r6, 0(r4)
        xor     r6, r6, r5
        or      r14, r14, r6
        addi    r5, r5, 1
        addi    r4, r4, 0x1000
        bdnz    2b
        check   all-entries, r14, 0
        load32  r4, EA + 62 * 0x1000
        catch   1f
        lwz     r14, 0(r4)
1:      caught  all-entries/beyond, V_DTLB, dear=EA + 62 * 0x1000
        b       finish

