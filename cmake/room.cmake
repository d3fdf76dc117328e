# One room is one folder: its sources make a static library, each file of test/ a CMocka program (ctest label
# unit), each file of fuzz/ a libFuzzer target (label fuzz), each file of bench/ a benchmark (label bench).

find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

add_library(rw_flags INTERFACE)
target_compile_definitions(rw_flags INTERFACE _GNU_SOURCE RW_VERSION="${PROJECT_VERSION}")
target_include_directories(rw_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(rw_flags INTERFACE -Wall -Wextra -Werror -Wvla -Wshadow -Wstrict-prototypes
	-Wmissing-prototypes -Wwrite-strings -Wundef -Wformat=2 -Wno-format-nonliteral -fno-strict-aliasing
	-fstack-protector-strong
	# A sentence cut to its buffer is meant so.
	$<$<C_COMPILER_ID:GNU>:-Wno-format-truncation>)
target_link_libraries(rw_flags INTERFACE Threads::Threads)
# Hardening, in every preset; ci/hardening reads it back from the binaries.
include(CheckCCompilerFlag)
# All libraries end in programs of this tree: -fPIE, not -fPIC, which keeps functions from being inlined.
target_compile_options(rw_flags INTERFACE -fPIE)
target_link_options(rw_flags INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code)
# clang 14 wants to hear that zero is meant for good; gcc and later ones know.
foreach(flag "-fcf-protection=full" "-fstack-clash-protection" "-ftrivial-auto-var-init=zero"
		"-ftrivial-auto-var-init=zero -enable-trivial-auto-var-init-zero-knowing-it-will-be-removed-from-clang")
	string(MAKE_C_IDENTIFIER "RW_HAS${flag}" known)
	if(flag MATCHES "knowing" AND RW_HAS_ftrivial_auto_var_init_zero)
		continue()
	endif()
	check_c_compiler_flag("${flag}" ${known})
	if(${known})
		separate_arguments(words UNIX_COMMAND "${flag}")
		target_compile_options(rw_flags INTERFACE ${words})
	endif()
endforeach()
# It needs the optimiser, and the sanitizers intercept the same calls.
if(NOT RW_SANITIZE)
	target_compile_options(rw_flags INTERFACE
		$<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3>)
endif()
if(RW_SANITIZE)
	target_compile_options(rw_flags INTERFACE -fsanitize=${RW_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
	target_link_options(rw_flags INTERFACE -fsanitize=${RW_SANITIZE})
endif()
if(RW_FUZZ)
	target_compile_options(rw_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(RW_COVERAGE)
	target_compile_options(rw_flags INTERFACE -fprofile-instr-generate -fcoverage-mapping)
	target_link_options(rw_flags INTERFACE -fprofile-instr-generate)
endif()

# No name of the builder's folders in what is built: sources are named from the tree's root, where a debugger is started.
if(NOT RW_SANITIZE AND NOT RW_COVERAGE)
	target_compile_options(rw_flags INTERFACE -ffile-prefix-map=${PROJECT_SOURCE_DIR}=.)
endif()

# Where an installed machine looks for them, from the prefix on.
set(RW_UNITS lib/systemd/system CACHE STRING "systemd units")
set(RW_USER_UNITS lib/systemd/user CACHE STRING "systemd units of users")
set(RW_COMPLETIONS_bash share/bash-completion/completions CACHE STRING "completions of bash")
set(RW_COMPLETIONS_zsh share/zsh/site-functions CACHE STRING "completions of zsh")
set(RW_COMPLETIONS_fish share/fish/vendor_completions.d CACHE STRING "completions of fish")

# rw_system(NAME module...): a pkg-config dependency as rw_sys_NAME.
function(rw_system name)
	pkg_check_modules(rw_sys_${name} REQUIRED IMPORTED_TARGET GLOBAL ${ARGN})
endfunction()

foreach(row "sodium libsodium" "crypto libcrypto" "uv libuv" "mnl libmnl" "seccomp libseccomp" "jansson jansson" "yaml yaml-0.1"
		"cmocka cmocka")
	separate_arguments(row)
	rw_system(${row})
endforeach()
if(NOT ROPEWALK_ONLY)
	rw_system(ssl libssl)
	rw_system(nghttp2 libnghttp2)
	rw_system(zstd libzstd)
	rw_system(sqlite sqlite3)
	rw_system(qrencode libqrencode)
	rw_system(ldns ldns)
	# Loaded when it is wanted, so only its header.
	find_path(RW_SD_BUS systemd/sd-bus.h REQUIRED)
	find_path(RW_UNBOUND_H unbound.h REQUIRED) # the library is loaded, where it is wanted
	# http_parser ships no pkg-config file in Debian 12.
	find_library(RW_HTTP_PARSER http_parser REQUIRED)
endif()

# Short memory and passing time, for fuzz targets and the tests that want them; random numbers for fuzz targets.
add_library(rw_trouble OBJECT EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/mesh/base/fuzz/trouble.c)
target_link_libraries(rw_trouble PRIVATE rw_flags)
add_library(rw_chance OBJECT EXCLUDE_FROM_ALL ${PROJECT_SOURCE_DIR}/mesh/base/fuzz/chance.c)
target_link_libraries(rw_chance PRIVATE rw_flags)
# What they do is no input's doing, as when libFuzzer's alarm asks for the time: it is not counted as reached.
if(RW_FUZZ)
	set_source_files_properties(${PROJECT_SOURCE_DIR}/mesh/base/fuzz/trouble.c ${PROJECT_SOURCE_DIR}/mesh/base/fuzz/chance.c
		PROPERTIES COMPILE_OPTIONS -fno-sanitize=fuzzer-no-link)
endif()
set(RW_TROUBLE_LINK -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc)

# rw_troubled_test(TARGET): a test that includes mesh/base/fuzz/trouble.h.
function(rw_troubled_test target)
	target_link_libraries(${target} PRIVATE rw_trouble)
	target_link_options(${target} PRIVATE ${RW_TROUBLE_LINK})
endfunction()

# rw_room(NAME [EXCEPT file...] [LIBS lib...] [SYSTEM name...] [TEST_LIBS lib...]): library rw_NAME from *.c of this
# folder; TEST_LIBS are what its tests and benches link besides.
function(rw_room name)
	cmake_parse_arguments(R "" "" "EXCEPT;LIBS;SYSTEM;TEST_LIBS" ${ARGN})
	file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.c)
	foreach(f ${R_EXCEPT})
		list(REMOVE_ITEM sources ${CMAKE_CURRENT_SOURCE_DIR}/${f})
	endforeach()
	add_library(rw_${name} STATIC ${sources})
	target_link_libraries(rw_${name} PUBLIC rw_flags)
	foreach(l ${R_LIBS})
		target_link_libraries(rw_${name} PUBLIC rw_${l})
	endforeach()
	foreach(s ${R_SYSTEM})
		target_link_libraries(rw_${name} PUBLIC PkgConfig::rw_sys_${s})
	endforeach()

	file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test/*_test.c)
	file(GLOB test_parts CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test/*.c)
	list(REMOVE_ITEM test_parts ${tests} "")
	foreach(t ${tests})
		get_filename_component(stem ${t} NAME_WE)
		add_executable(${name}_${stem} ${t} ${test_parts})
		target_link_libraries(${name}_${stem} PRIVATE rw_${name} PkgConfig::rw_sys_cmocka)
		foreach(l ${R_TEST_LIBS})
			target_link_libraries(${name}_${stem} PRIVATE rw_${l})
		endforeach()
		add_test(NAME ${name}/${stem} COMMAND ${name}_${stem})
		set_tests_properties(${name}/${stem} PROPERTIES LABELS unit TIMEOUT 600 # of one that hangs
			ENVIRONMENT "RW_SOURCE_DIR=${PROJECT_SOURCE_DIR};RW_BIN_DIR=${CMAKE_BINARY_DIR}/bin")
		# Whole networks take the longest: they begin first.
		if(name MATCHES "^simnet")
			set_tests_properties(${name}/${stem} PROPERTIES COST 100)
		endif()
	endforeach()

	file(GLOB fuzzers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/*_fuzz.c)
	foreach(f ${fuzzers})
		get_filename_component(stem ${f} NAME_WE)
		if(RW_FUZZ)
			add_executable(${name}_${stem} ${f})
			target_link_libraries(${name}_${stem} PRIVATE rw_${name} rw_trouble rw_chance)
			target_link_options(${name}_${stem} PRIVATE -fsanitize=fuzzer ${RW_TROUBLE_LINK})
			set_property(GLOBAL APPEND PROPERTY RW_FUZZERS ${name}_${stem})
			add_test(NAME ${name}/${stem} COMMAND ${PROJECT_SOURCE_DIR}/ci/fuzz-smoke
				$<TARGET_FILE:${name}_${stem}> ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/${stem}.seeds)
			set_tests_properties(${name}/${stem} PROPERTIES LABELS fuzz TIMEOUT 900) # ends by itself
		endif()
	endforeach()

	file(GLOB benches CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/bench/*_bench.c)
	foreach(b ${benches})
		get_filename_component(stem ${b} NAME_WE)
		add_executable(${name}_${stem} ${b})
		target_link_libraries(${name}_${stem} PRIVATE rw_${name})
		foreach(l ${R_TEST_LIBS})
			target_link_libraries(${name}_${stem} PRIVATE rw_${l})
		endforeach()
	endforeach()
endfunction()

# What is installed, without tests and benchmarks.
add_custom_target(programs)

# rw_program(NAME main.c LIBS lib...): an installed program.
function(rw_program name main)
	cmake_parse_arguments(R "" "" "LIBS" ${ARGN})
	add_executable(${name} ${main})
	foreach(l ${R_LIBS})
		target_link_libraries(${name} PRIVATE rw_${l})
	endforeach()
	install(TARGETS ${name} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
	add_dependencies(programs ${name})
endfunction()

# rw_completion(PROGRAM ARG...): what shells complete its command line with, printed by itself with these arguments and the
# name of the shell.
function(rw_completion program)
	set(dir ${CMAKE_BINARY_DIR}/completions)
	set(scripts)
	foreach(row "bash ${program}" "zsh _${program}" "fish ${program}.fish")
		separate_arguments(row)
		list(GET row 0 shell)
		list(GET row 1 file)
		add_custom_command(OUTPUT ${dir}/${shell}/${file}
			COMMAND ${CMAKE_COMMAND} -E make_directory ${dir}/${shell}
			COMMAND ${program} ${ARGN} ${shell} > ${dir}/${shell}/${file}
			DEPENDS ${program} VERBATIM)
		list(APPEND scripts ${dir}/${shell}/${file})
		install(FILES ${dir}/${shell}/${file} DESTINATION ${RW_COMPLETIONS_${shell}})
	endforeach()
	add_custom_target(${program}_completion ALL DEPENDS ${scripts})
	add_dependencies(programs ${program}_completion)
endfunction()

# rw_unit(NAME [USER]): a systemd unit of docs/examples, or of its folder `user`, with the folder that the programs are
# installed to.
function(rw_unit name)
	set(unit ${name}.service)
	set(to ${RW_UNITS})
	if("USER" IN_LIST ARGN)
		set(unit user/${name}.service)
		set(to ${RW_USER_UNITS})
	endif()
	install(CODE "
		file(READ \"${PROJECT_SOURCE_DIR}/docs/examples/${unit}\" text)
		string(REPLACE /usr/local/bin/ \${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}/ text \"\${text}\")
		file(WRITE \"${CMAKE_BINARY_DIR}/units/${name}.service\" \"\${text}\")")
	install(FILES ${CMAKE_BINARY_DIR}/units/${name}.service DESTINATION ${to})
endfunction()

# rw_man(PROGRAM SECTION ARG...): the program's page, printed by itself with these arguments, built and installed.
function(rw_man program section)
	set(page ${CMAKE_BINARY_DIR}/man/${program}.${section})
	add_custom_command(OUTPUT ${page}
		COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
		COMMAND ${program} ${ARGN} > ${page}
		DEPENDS ${program} VERBATIM)
	add_custom_target(${program}_man ALL DEPENDS ${page})
	add_dependencies(programs ${program}_man)
	install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endfunction()

# rw_embed(LIBRARY NAME FILE): bytes of a file in a library, as `const unsigned char NAME[]` and `const size_t NAME_len`.
function(rw_embed library name file)
	set(made ${CMAKE_CURRENT_BINARY_DIR}/${name}.c)
	add_custom_command(OUTPUT ${made}
		COMMAND ${CMAKE_COMMAND} -DIN=${CMAKE_CURRENT_SOURCE_DIR}/${file} -DOUT=${made} -DNAME=${name} -P
			${PROJECT_SOURCE_DIR}/cmake/embed.cmake
		DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${file} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake VERBATIM)
	target_sources(${library} PRIVATE ${made})
endfunction()
