/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A main for fuzz targets without libFuzzer: runs every named file, and every file of every named folder, once
 * through LLVMFuzzerTestOneInput, plus the empty input. So gcc and mingw replay the corpus, and a crashing input is
 * debugged with ordinary tools. Exit code: 0 when all inputs ran, 2 when one could not be read. Other arguments that
 * begin with '-' are ignored, so that a libFuzzer command line works.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    REPLAY_INPUT_MAX = 1 << 20,
    REPLAY_PATH_MAX = 2048
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));

static unsigned inputs_run;

static void run(const uint8_t *data, size_t size)
{
    /* An exactly sized copy on the heap, so that ASan and valgrind see one byte too many. */
    uint8_t *copy = malloc(size > 0 ? size : 1);
    if (copy == NULL) {
        fprintf(stderr, "replay: out of memory\n");
        exit(2);
    }
    if (size > 0)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
    inputs_run++;
}

static int replay_file(const char *path)
{
    static uint8_t buf[REPLAY_INPUT_MAX];
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        return 2;
    }
    size_t n = fread(buf, 1, sizeof buf, f);
    int failed = ferror(f);
    fclose(f);
    if (failed) {
        perror(path);
        return 2;
    }
    run(buf, n);
    return 0;
}

static int replay_folder(const char *path)
{
    DIR *d = opendir(path);
    if (d == NULL) {
        perror(path);
        return 2;
    }
    int status = 0;
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        char name[REPLAY_PATH_MAX];
        struct stat st;
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (stat(name, &st) == 0 && S_ISREG(st.st_mode) && replay_file(name) != 0)
            status = 2;
    }
    closedir(d);
    return status;
}

int main(int argc, char **argv)
{
    int status = 0;
#ifndef _WIN32 /* mingw resolves no weak reference */
    if (LLVMFuzzerInitialize != NULL)
        LLVMFuzzerInitialize(&argc, &argv);
#endif
    run((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++) {
        struct stat st;
        if (argv[i][0] == '-')
            continue;
        if (stat(argv[i], &st) != 0) {
            perror(argv[i]);
            status = 2;
        } else if ((S_ISDIR(st.st_mode) ? replay_folder(argv[i]) : replay_file(argv[i])) != 0) {
            status = 2;
        }
    }
    printf("%u inputs replayed\n", inputs_run);
    return status;
}
