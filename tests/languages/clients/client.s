# x86-64 assembly: open, fstat and mmap are system calls; the C library reads and prints numbers.
        .intel_syntax noprefix
        .equ    SYS_OPEN, 2
        .equ    SYS_FSTAT, 5
        .equ    SYS_MMAP, 9
        .equ    O_RDWR, 2
        .equ    PROT_READ_WRITE, 3
        .equ    MAP_SHARED, 1
        .equ    ST_SIZE, 48                     # in struct stat

        .text
        .globl  main
main:   push    rbx                             # argv
        push    r12                             # size of the file, and later the element's index
        push    r13                             # the elements
        sub     rsp, 144                        # struct stat; the stack stays aligned to 16 bytes
        mov     rbx, rsi

        mov     eax, SYS_OPEN
        mov     rdi, [rbx + 8]
        mov     esi, O_RDWR
        syscall
        mov     r8d, eax                        # the descriptor
        test    eax, eax
        js      fail

        mov     edi, eax
        mov     eax, SYS_FSTAT
        mov     rsi, rsp
        syscall
        mov     r12, [rsp + ST_SIZE]

        mov     eax, SYS_MMAP
        xor     edi, edi
        mov     rsi, r12
        mov     edx, PROT_READ_WRITE
        mov     r10d, MAP_SHARED
        xor     r9d, r9d
        syscall
        cmp     rax, -4096
        ja      fail

        movzx   r13d, word ptr [rax + 8]        # the length of the header that begins at byte 10
        lea     r13, [rax + r13 + 10]
        add     r12, rax                        # the end of the file

        pxor    xmm0, xmm0
        mov     rax, r13
        jmp     2f
1:      addsd   xmm0, [rax]
        add     rax, 8
2:      cmp     rax, r12
        jb      1b

        lea     rdi, format[rip]
        mov     eax, 1                          # one floating-point argument
        call    printf@plt

        mov     rdi, [rbx + 16]
        call    atol@plt
        mov     r12, rax
        mov     rdi, [rbx + 24]
        call    atof@plt
        movsd   [r13 + 8 * r12], xmm0
        xor     eax, eax
        jmp     done

fail:   mov     eax, 1
done:   add     rsp, 144
        pop     r13
        pop     r12
        pop     rbx
        ret

        .section .rodata
format: .asciz  "%.17g\n"
        .section .note.GNU-stack, "", @progbits
