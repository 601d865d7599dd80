// The loader must write this absolute address into the code.
  .text
  .globl answer
answer:
  .quad answer
