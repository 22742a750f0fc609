# ARRAYFS_PYTHON: an interpreter that has NumPy. The system's own comes first: on many machines the
# one on PATH belongs to a version manager and has none.
function(arrayfs_has_numpy result candidate)
  execute_process(COMMAND ${candidate} -c "import numpy" RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(failed)
    set(${result} FALSE PARENT_SCOPE)
  endif()
endfunction()

find_program(ARRAYFS_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH VALIDATOR arrayfs_has_numpy)
find_program(ARRAYFS_PYTHON python3 REQUIRED VALIDATOR arrayfs_has_numpy)

# arrayfs_test(NAME name COMMAND ... [ENVIRONMENT NAME=value ...])
# A test that runs in tests/; 77 as its exit code says that it cannot run here.
function(arrayfs_test)
  cmake_parse_arguments(PARSE_ARGV 0 test "" "NAME" "COMMAND;ENVIRONMENT")
  add_test(NAME ${test_NAME} COMMAND ${test_COMMAND} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}/tests)
  set_tests_properties(${test_NAME} PROPERTIES
    ENVIRONMENT "${test_ENVIRONMENT}"
    SKIP_RETURN_CODE 77
    TIMEOUT 600)
endfunction()

# arrayfs_mount_test(NAME name PLANE plane COMMAND ... [ENVIRONMENT NAME=value ...] [FIXTURE name])
# A test of the mount, on one data plane; FIXTURE: what another test sets up before it.
# ARRAYFS_SANITIZED lists presets (tests/run.sh builds them): the same test runs with the daemon of
# each, and what a sanitizer reports fails sanitizers.reports.
function(arrayfs_mount_test)
  cmake_parse_arguments(PARSE_ARGV 0 test "" "NAME;PLANE;FIXTURE" "COMMAND;ENVIRONMENT")
  arrayfs_test(NAME ${test_NAME} COMMAND ${test_COMMAND} ENVIRONMENT
    ARRAYFS_BIN=$<TARGET_FILE:arrayfs> ARRAYFS_TEST_PLANE=${test_PLANE}
    ARRAYFS_MAPPER=$<TARGET_FILE:mapper> ${test_ENVIRONMENT})
  set_property(TEST ${test_NAME} PROPERTY FIXTURES_REQUIRED ${test_FIXTURE})
  foreach(preset IN LISTS ARRAYFS_SANITIZED)
    # A signal that a test sends to the daemon is no report; a crash shows as a restart.
    set(reports log_path=${ARRAYFS_SANITIZER_REPORTS}/${preset}.${test_NAME}:handle_segv=0:handle_abort=0)
    arrayfs_test(NAME ${preset}.${test_NAME} COMMAND ${test_COMMAND} ENVIRONMENT
      ARRAYFS_BIN=${PROJECT_SOURCE_DIR}/build/${preset}/bin/arrayfs
      ARRAYFS_TEST_PLANE=${test_PLANE} ${test_ENVIRONMENT}
      ARRAYFS_MAPPER=$<TARGET_FILE:mapper> ARRAYFS_SANITIZED_BY=${preset}
      ASAN_OPTIONS=${reports} UBSAN_OPTIONS=${reports}:print_stacktrace=1 TSAN_OPTIONS=${reports}
      LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/support/leaks.txt:print_suppressions=0)
    set_property(TEST ${preset}.${test_NAME} PROPERTY FIXTURES_REQUIRED sanitizers ${test_FIXTURE})
    set_property(TEST ${preset}.${test_NAME} PROPERTY LABELS sanitizers)
    set_property(TEST ${preset}.${test_NAME} PROPERTY TIMEOUT 1200)
  endforeach()
endfunction()
