/** PhotoSwipe has no types here: the viewer's tests with a browser hold what it uses. */

declare const PhotoSwipe: any;
export default PhotoSwipe;
