#! summary: special purpose registers: which bits exist, which are read-only; unknown DCRs; SPRG and TB aliases
#! checks: 51
        .include "lib.inc.s"

        # mask NAME, SPR, WANT: what all ones leave, and what zero leaves. The old value comes back.
        .macro  mask name, spr, ones, zero=0
        mfspr   r16, \spr
        li      r14, -1
        mtspr   \spr, r14
        mfspr   r14, \spr
        li      r15, 0
        mtspr   \spr, r15
        mfspr   r15, \spr
        mtspr   \spr, r16
        check   \name/ones, r14, \ones
        check   \name/zeros, r15, \zero
        .endm

main:   mask    lr, lr, 0xFFFFFFFF
        mask    ctr, ctr, 0xFFFFFFFF
        mask    usprg0, usprg0, 0xFFFFFFFF
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7
        mask    sprg\n, 272 + \n, 0xFFFFFFFF
        .endr
        mask    srr1, srr1, 0xFFFFFFFF
        mask    dear, dear, 0xFFFFFFFF
        mask    ivor0, ivor0, 0xFFF0
        mask    ivor15, ivor15, 0xFFF0
        mask    iac1, iac1, 0xFFFFFFFC
        mask    dac1, dac1, 0xFFFFFFFF
        mask    dvc1, dvc1, 0xFFFFFFFF
        mask    mcsrr1, mcsrr1, 0xFFFFFFFF

        # SPRG4-7 are read by the user under numbers of their own
        .irp    n, 4, 5, 6, 7
        li      r14, 0x100 + \n
        mtsprg  \n, r14
        mfspr   r15, 256 + \n
        check   sprg\n/user, r15, 0x100 + \n
        .endr

        # The processor: a 440EP, PIR 0; PVR cannot be written
        mfpvr   r14
        srwi    r15, r14, 12
        check   pvr/440ep, r15, 0x42221
        li      r14, 0
        mtspr   pir, r14
        mfspr   r14, pir
        check   pir, r14, 0

        # TBL and TBU are written under other numbers than they are read
        li      r14, 0
        mtspr   284, r14
        li      r14, 77
        mtspr   285, r14
        mfspr   r15, 269
        check   tbu, r15, 77

        # Device control registers that nothing claims read zero, and ignore what is written
        .irp    n, 0x001, 0x155, 0x3FF
        catch   1f
        li      r14, -1
        li      r15, -1
        mtdcr   \n, r15
        mfdcr   r14, \n
1:      mr      r15, r14
        caught  dcr/\n, NONE
        check   dcr/\n/value, r15, 0
        .endr
        b       finish
