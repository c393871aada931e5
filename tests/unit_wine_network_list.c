/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of networks as COM sees it: what counts is told, also from several threads, nothing is when the owner is gone, and the object lives as
 * long as the system holds it. Where there is no such list the object is made all the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "platform/windows/network_list.c"

enum {
    CALLERS = 3,
    CALLS = 2000
};

static LONG moves, in_flight, gone, late;

static void on_moved(void *arg)
{
    assert_ptr_equal(arg, &moves);
    InterlockedIncrement(&in_flight);
    if (gone)
        InterlockedIncrement(&late);
    InterlockedIncrement(&moves);
    InterlockedDecrement(&in_flight);
}

static struct network_list *open_list(void)
{
    struct network_list *l;
    moves = gone = late = 0;
    if (network_list_new(&l, on_moved, &moves) == ERR_OK)
        return l;
    printf("this system does not tell of networks: the object alone\n");
    l = mem_zalloc(1, sizeof *l);
    *l = (struct network_list){
        .events.lpVtbl = &methods, .holders = 1, .moved = on_moved, .arg = &moves};
    InitializeCriticalSection(&l->lock);
    network_filter_init(&l->filter);
    return l;
}

static GUID network(unsigned number)
{
    GUID id = {.Data1 = 0xfe000000 + number, .Data4 = {1, 2, 3}};
    return id;
}

static void test_object(void **state)
{
    struct network_list *l = open_list();
    INetworkEvents *events = &l->events;
    void *out;
    (void)state;
    LONG before = l->holders;
    assert_int_equal(INetworkEvents_QueryInterface(events, &IID_IUnknown, &out), S_OK);
    assert_ptr_equal(out, events);
    assert_int_equal(INetworkEvents_QueryInterface(events, &IID_INetworkEvents, &out), S_OK);
    assert_int_equal(l->holders, before + 2);
    assert_int_equal(INetworkEvents_QueryInterface(events, &IID_INetworkListManager, &out),
                     E_NOINTERFACE);
    assert_null(out);
    assert_int_equal(l->holders, before + 2);
    assert_int_equal(INetworkEvents_Release(events), before + 1);
    assert_int_equal(INetworkEvents_Release(events), before);
    network_list_free(l);
}

static void test_what_is_told(void **state)
{
    struct network_list *l = open_list();
    INetworkEvents *events = &l->events;
    GUID switch_ = network(7);
    (void)state;
    EnterCriticalSection(&l->lock);
    network_filter_profile(&l->filter, (const uint8_t *)&switch_, 53);
    LeaveCriticalSection(&l->lock);
    assert_int_equal(INetworkEvents_NetworkConnectivityChanged(events, network(1),
                                                               NLM_CONNECTIVITY_IPV4_INTERNET),
                     S_OK);
    assert_int_equal(moves, 1);
    (void)INetworkEvents_NetworkConnectivityChanged(events, network(1),
                                                    NLM_CONNECTIVITY_IPV4_INTERNET);
    (void)INetworkEvents_NetworkConnectivityChanged(events, switch_,
                                                    NLM_CONNECTIVITY_IPV4_INTERNET);
    (void)INetworkEvents_NetworkAdded(events, network(2));
    (void)INetworkEvents_NetworkDeleted(events, network(2));
    (void)INetworkEvents_NetworkPropertyChanged(events, network(1),
                                                NLM_NETWORK_PROPERTY_CHANGE_NAME);
    assert_int_equal(moves, 1);
    (void)INetworkEvents_NetworkConnectivityChanged(events, network(1),
                                                    NLM_CONNECTIVITY_DISCONNECTED);
    assert_int_equal(moves, 2);
    /* A call that comes late finds nobody. */
    (void)INetworkEvents_AddRef(events);
    network_list_free(l);
    (void)INetworkEvents_NetworkConnectivityChanged(events, network(1),
                                                    NLM_CONNECTIVITY_IPV4_INTERNET);
    assert_int_equal(moves, 2);
    assert_int_equal(INetworkEvents_Release(events), 0);
}

static DWORD WINAPI call_often(void *arg)
{
    INetworkEvents *events = arg;
    for (unsigned i = 0; i < CALLS; i++)
        (void)INetworkEvents_NetworkConnectivityChanged(events, network(i % 5),
                                                        (NLM_CONNECTIVITY)(i % 3));
    (void)INetworkEvents_Release(events);
    return 0;
}

static void test_threads(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 5; round++) {
        struct network_list *l = open_list();
        HANDLE threads[CALLERS];
        for (unsigned i = 0; i < CALLERS; i++) {
            (void)INetworkEvents_AddRef(&l->events);
            threads[i] = CreateThread(NULL, 0, call_often, &l->events, 0, NULL);
            assert_non_null(threads[i]);
        }
        Sleep(round);
        network_list_free(l);
        assert_int_equal(in_flight, 0);
        InterlockedExchange(&gone, 1);
        assert_int_equal(WaitForMultipleObjects(CALLERS, threads, TRUE, 60000), WAIT_OBJECT_0);
        for (unsigned i = 0; i < CALLERS; i++)
            CloseHandle(threads[i]);
        assert_int_equal(late, 0);
    }
}

/* ---- profiles, in a key of this test's ---- */

#define PROFILES_OF_TEST "Software\\firezone-test-profiles"

static void add_profile(const char *name, const char *value, DWORD type, DWORD data)
{
    char path[512];
    HKEY key;

    snprintf(path, sizeof path, PROFILES_OF_TEST "\\%s", name);
    assert_int_equal(RegCreateKeyExA(HKEY_CURRENT_USER, path, 0, NULL, REG_OPTION_VOLATILE,
                                     KEY_WRITE, NULL, &key, NULL),
                     ERROR_SUCCESS);
    assert_int_equal(RegSetValueExA(key, value, 0, type, (const BYTE *)&data, sizeof data),
                     ERROR_SUCCESS);
    RegCloseKey(key);
}

static int remove_profiles(void **state)
{
    (void)state;
    (void)RegDeleteTreeA(HKEY_CURRENT_USER, PROFILES_OF_TEST);
    return 0;
}

static void test_profiles(void **state)
{
    static const bool counts[] = {true, false, true, false, true, true};
    static struct network_filter f;
    char longer[200];
    (void)state;
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    add_profile(longer, "NameType", REG_DWORD, 53);
    add_profile("not a GUID", "NameType", REG_DWORD, 53);
    add_profile("{00000000-0000-0000-0000-000000000001}", "NameType", REG_DWORD, NETWORK_WIRED);
    add_profile("{00000001-0000-0000-0000-000000000001}", "NameType", REG_DWORD, 53);
    add_profile("{00000002-0000-0000-0000-000000000001}", "NameType", REG_BINARY, 53);
    add_profile("{00000003-0000-0000-0000-000000000001}", "NameType", REG_DWORD, 23);
    add_profile("{00000004-0000-0000-0000-000000000001}", "Category", REG_DWORD, 53);
    network_filter_init(&f);
    read_profiles(&f, HKEY_CURRENT_USER, PROFILES_OF_TEST);
    for (unsigned i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        GUID id = {.Data1 = i, .Data4 = {[7] = 1}};
        assert_int_equal(network_filter_changed(&f, (const uint8_t *)&id, 0x40), counts[i]);
    }
    unsigned known = f.n;
    read_profiles(&f, HKEY_CURRENT_USER, PROFILES_OF_TEST "\\none");
    assert_int_equal(f.n, known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_object),
        cmocka_unit_test(test_what_is_told),
        cmocka_unit_test(test_threads),
        cmocka_unit_test_setup_teardown(test_profiles, remove_profiles, remove_profiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
