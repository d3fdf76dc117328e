# cmake -DIN=FILE -DOUT=FILE.c -DNAME=symbol -P embed.cmake: the file as an array of bytes, NAME and NAME_len.
file(READ ${IN} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR len "${digits} / 2")
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
file(WRITE ${OUT} "#include <stddef.h>\nextern const unsigned char ${NAME}[];\nextern const size_t ${NAME}_len;\nconst unsigned char ${NAME}[] = { ${bytes} 0 };\nconst size_t ${NAME}_len = ${len};\n")
