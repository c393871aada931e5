/* SPDX-License-Identifier: Apache-2.0 */
/*
 * INetworkEvents by hand. The object is the list itself, which lives as long as anybody holds it: a call may be on its way when it is
 * unadvised.
 */
#include "platform/windows/network_list.h"

#define COBJMACROS
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

#include <initguid.h>
#include <objbase.h>
#include <ocidl.h>

#include <netlistmgr.h>

#include <stdlib.h>

#include "platform/base/log.h"
#include "platform/base/mem.h"
#include "platform/windows/network_filter.h"

#define MODULE   "network_list"
#define PROFILES "SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion\\NetworkList\\Profiles"

_Static_assert(sizeof(GUID) == NETWORK_ID_LEN, "a network is known by a GUID");

struct network_list {
    INetworkEvents events;    /* first: the object that COM sees */
    LONG holders;             /* its owner and the system */
    CRITICAL_SECTION lock;    /* of what follows: COM calls from several threads */
    void (*moved)(void *arg); /* NULL: the owner is gone */
    void *arg;
    struct network_filter filter;
    HANDLE thread, ready, stop;
    bool advised;
};

/* ---- the object ---- */

static ULONG STDMETHODCALLTYPE add_ref(INetworkEvents *self)
{
    struct network_list *l = (struct network_list *)self;
    return (ULONG)InterlockedIncrement(&l->holders);
}

static ULONG STDMETHODCALLTYPE release(INetworkEvents *self)
{
    struct network_list *l = (struct network_list *)self;
    LONG left = InterlockedDecrement(&l->holders);

    if (left == 0) {
        DeleteCriticalSection(&l->lock);
        free(l);
    }
    return (ULONG)left;
}

static HRESULT STDMETHODCALLTYPE query(INetworkEvents *self, REFIID id, void **out)
{
    *out = NULL;
    if (!IsEqualIID(id, &IID_IUnknown) && !IsEqualIID(id, &IID_INetworkEvents))
        return E_NOINTERFACE;
    (void)add_ref(self);
    *out = self;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE on_added(INetworkEvents *self, GUID id)
{
    (void)self, (void)id;
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE on_connectivity(INetworkEvents *self, GUID id,
                                                 NLM_CONNECTIVITY connectivity)
{
    struct network_list *l = (struct network_list *)self;

    /* The owner takes the lock before it goes, so that no call of `moved` is left then. */
    EnterCriticalSection(&l->lock);
    if (network_filter_changed(&l->filter, (const uint8_t *)&id, (uint32_t)connectivity) &&
        l->moved)
        l->moved(l->arg);
    LeaveCriticalSection(&l->lock);
    return S_OK;
}

static HRESULT STDMETHODCALLTYPE on_property(INetworkEvents *self, GUID id,
                                             NLM_NETWORK_PROPERTY_CHANGE change)
{
    (void)self, (void)id, (void)change;
    return S_OK;
}

static INetworkEventsVtbl methods = {query,    add_ref,         release,    on_added,
                                     on_added, on_connectivity, on_property};

/* ---- profiles ---- */

static void read_profile(struct network_filter *f, HKEY profiles, const wchar_t *name)
{
    DWORD type = 0, size = sizeof type;
    GUID id;

    if (CLSIDFromString(name, &id) == NOERROR &&
        RegGetValueW(profiles, name, L"NameType", RRF_RT_REG_DWORD, NULL, &type, &size) ==
            ERROR_SUCCESS)
        network_filter_profile(f, (const uint8_t *)&id, type);
}

static void read_profiles(struct network_filter *f, HKEY root, const char *path)
{
    wchar_t name[64];
    HKEY key;

    if (RegOpenKeyExA(root, path, 0, KEY_READ, &key) != ERROR_SUCCESS)
        return;
    for (DWORD i = 0;; i++) {
        DWORD len = sizeof name / sizeof name[0];
        LSTATUS e = RegEnumKeyExW(key, i, name, &len, NULL, NULL, NULL, NULL);
        if (e == ERROR_SUCCESS)
            read_profile(f, key, name);
        else if (e != ERROR_MORE_DATA) /* a longer name is none of a network */
            break;
    }
    RegCloseKey(key);
}

/* ---- the thread ---- */

/* The point at which one listens; NULL: there is none. */
static IConnectionPoint *find_point(void)
{
    INetworkListManager *manager = NULL;
    IConnectionPointContainer *container = NULL;
    IConnectionPoint *point = NULL;

    if (FAILED(CoCreateInstance(&CLSID_NetworkListManager, NULL, CLSCTX_ALL,
                                &IID_INetworkListManager, (void **)&manager)))
        return NULL;
    if (SUCCEEDED(INetworkListManager_QueryInterface(manager, &IID_IConnectionPointContainer,
                                                     (void **)&container))) {
        if (FAILED(IConnectionPointContainer_FindConnectionPoint(container, &IID_INetworkEvents,
                                                                 &point)))
            point = NULL;
        IConnectionPointContainer_Release(container);
    }
    INetworkListManager_Release(manager);
    return point;
}

static void listen_until_told(struct network_list *l)
{
    IConnectionPoint *point = find_point();
    DWORD cookie = 0;

    l->advised =
        point && SUCCEEDED(IConnectionPoint_Advise(point, (IUnknown *)&l->events, &cookie));
    SetEvent(l->ready);
    WaitForSingleObject(l->stop, INFINITE);
    if (l->advised)
        IConnectionPoint_Unadvise(point, cookie);
    if (point)
        IConnectionPoint_Release(point);
}

static DWORD WINAPI run(void *arg)
{
    struct network_list *l = arg;

    if (FAILED(CoInitializeEx(NULL, COINIT_MULTITHREADED))) {
        SetEvent(l->ready);
        return 0;
    }
    listen_until_told(l);
    CoUninitialize();
    return 0;
}

enum err network_list_new(struct network_list **out, void (*moved)(void *arg), void *arg)
{
    struct network_list *l = mem_zalloc(1, sizeof *l);

    *out = NULL;
    *l = (struct network_list){.events.lpVtbl = &methods, .holders = 1, .moved = moved, .arg = arg};
    InitializeCriticalSection(&l->lock);
    network_filter_init(&l->filter);
    read_profiles(&l->filter, HKEY_LOCAL_MACHINE, PROFILES);
    l->ready = CreateEventW(NULL, TRUE, FALSE, NULL);
    l->stop = CreateEventW(NULL, TRUE, FALSE, NULL);
    if (l->ready && l->stop)
        l->thread = CreateThread(NULL, 0, run, l, 0, NULL);
    if (l->thread)
        WaitForSingleObject(l->ready, INFINITE);
    if (!l->advised) {
        log_debug(MODULE, "the system does not tell of changes of networks");
        network_list_free(l);
        return ERR_UNSUPPORTED;
    }
    *out = l;
    return ERR_OK;
}

void network_list_free(struct network_list *l)
{
    if (!l)
        return;
    EnterCriticalSection(&l->lock);
    l->moved = NULL;
    LeaveCriticalSection(&l->lock);
    if (l->thread) {
        SetEvent(l->stop);
        WaitForSingleObject(l->thread, INFINITE);
        CloseHandle(l->thread);
    }
    if (l->ready)
        CloseHandle(l->ready);
    if (l->stop)
        CloseHandle(l->stop);
    (void)release(&l->events);
}
